//! docs/tutorial.md, command by command, as somebody would who reads it. Tried where kubectl is: `make tools` brings it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TUTORIAL: &str = include_str!("../../../docs/tutorial.md");
/// Longest that the sandbox may take until it is there.
const START: Duration = Duration::from_secs(60);

/// The sandbox of `make sandbox`; it ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The commands of the page, in its order.
fn commands() -> Vec<&'static str> {
    let blocks = TUTORIAL.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// A folder that looks like a clone in which everything was built.
fn clone(programs: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    symlink(root.join("examples"), folder.path().join("examples")).unwrap();
    std::fs::create_dir_all(folder.path().join("target/sandbox")).unwrap();
    symlink(programs, folder.path().join("target/debug")).unwrap();
    folder
}

fn sandbox(folder: &Path) -> Running {
    let child = Command::new(folder.join("target/debug/orchestra-sandbox"))
        .args(["serve", "--kubeconfig", "target/sandbox/kubeconfig", "--speed", "60", "--with-controller"])
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{error}; run `make build` first"));
    let running = Running(child);
    let began = Instant::now();
    while !folder.join("target/sandbox/google-endpoint").exists() {
        assert!(began.elapsed() < START, "the sandbox did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

#[test]
fn each_command_of_the_tutorial_does_what_the_page_says() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        orchestra_tests::tell("not tried: kubectl is not installed (make tools)");
        return;
    }
    let programs = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf();
    let folder = clone(&programs);
    let _sandbox = sandbox(folder.path());
    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &commands.join("\n")])
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for part in ["2 objects: nothing is wrong with them", "update service", "RolledBack", "AnalysisFailed", "promoting"]
    {
        assert!(out.contains(part) || err.contains(part), "{part} is not in\n{out}\n{err}");
    }
}
