//! `make generate`: writes what is made from the code, below the folder that is named: references, dashboards, alerts, and
//! what the chart takes from elsewhere.

mod alerts;
mod api;
mod argocd;
mod chart;
mod dashboards;
mod metrics;
mod reasons;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![
        ("docs/metrics.md".to_string(), metrics::page()),
        ("docs/alerts.md".to_string(), alerts::page()),
        ("docs/api.md".to_string(), api::page()),
        ("docs/troubleshooting.md".to_string(), reasons::page()),
        (
            "charts/orchestra/README.md".to_string(),
            chart::readme(&std::fs::read_to_string(from.join("charts/orchestra/values.yaml"))?),
        ),
    ];
    for target in ["dashboards/alerts.yaml", "charts/orchestra/files/alerts.yaml"] {
        files.push((target.into(), alerts::rules()));
    }
    files.push(("examples/argocd/argocd-cm-patch.yaml".into(), argocd::patch(&from.join("examples/argocd/lua"))?));
    for dashboard in dashboards::all() {
        let text = format!("{:#}\n", dashboard.json());
        for folder in ["dashboards", "charts/orchestra/files/dashboards"] {
            files.push((format!("{folder}/{}.json", dashboard.uid), text.clone()));
        }
    }
    for crd in ["orchestraenvironments", "rollouts"] {
        let text = std::fs::read_to_string(from.join(format!("crds/{crd}.yaml")))?;
        files.push((format!("charts/orchestra/files/crds/{crd}.yaml"), text));
    }
    for (path, text) in files {
        let path = Path::new(&root).join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}
