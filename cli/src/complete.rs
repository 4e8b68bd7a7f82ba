//! What kubectl asks a plugin for when somebody presses the tab key: it runs `kubectl_complete-orchestra` with the words so
//! far, the last one perhaps empty, and reads candidates, one a line, and at the end what may be done with them.

use clap::CommandFactory;
use kube::ResourceExt;

use crate::args::{Cli, ClusterArgs, StatusArgs};
use crate::cluster::Cluster;

/// Of cobra, which kubectl is made with: complete no names of files.
const NO_FILES: &str = ":4";
/// Of the same: complete what the shell would.
const AS_THE_SHELL: &str = ":0";
/// Verbs whose arguments are files.
const OF_FILES: [&str; 2] = ["plan", "lint"];

/// Candidates for the last word. What can't be asked has none.
pub async fn candidates(words: &[String]) -> Vec<String> {
    let (last, before) = words.split_last().map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
    let root = Cli::command();
    let verb = before.iter().find_map(|word| root.find_subcommand(word));
    let (found, then): (Vec<String>, &str) = match verb {
        _ if last.starts_with('-') => (flags(verb.unwrap_or(&root)), NO_FILES),
        None => (verbs(&root), NO_FILES),
        Some(verb) if OF_FILES.contains(&verb.get_name()) => (vec![], AS_THE_SHELL),
        Some(_) => (rollouts(before).await, NO_FILES),
    };
    let mut fitting: Vec<String> = found.into_iter().filter(|word| word.starts_with(last)).collect();
    fitting.push(then.to_string());
    fitting
}

fn verbs(root: &clap::Command) -> Vec<String> {
    root.get_subcommands().filter(|verb| !verb.is_hide_set()).map(|verb| verb.get_name().to_string()).collect()
}

fn flags(of: &clap::Command) -> Vec<String> {
    of.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
}

/// Names of the Rollouts of the namespace that the words so far name.
async fn rollouts(before: &[String]) -> Vec<String> {
    let named = before.iter().position(|word| word == "-n" || word == "--namespace");
    let namespace = named.and_then(|at| before.get(at + 1)).cloned();
    let Ok(cluster) = Cluster::connect(&ClusterArgs { namespace, ..ClusterArgs::default() }).await else {
        return vec![];
    };
    let all = cluster.list(&StatusArgs::default()).await.unwrap_or_default();
    all.iter().map(ResourceExt::name_any).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(words: &[&str]) -> Vec<String> {
        candidates(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).await
    }

    #[tokio::test]
    async fn verbs_and_flags_are_completed_and_files_are_the_shells() {
        assert_eq!(of(&["st"]).await, ["status", ":4"]);
        assert!(of(&[""]).await.contains(&"promote".to_string()));
        assert!(!of(&["__"]).await.contains(&"__complete".to_string()));
        assert_eq!(of(&["status", "--wat"]).await, ["--watch", ":4"]);
        assert_eq!(of(&["plan", "-f", ""]).await, [":0"]);
    }
}
