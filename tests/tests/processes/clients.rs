//! Google's own clients against the sandbox. They are in Python: `make clients` installs them into `target/clients`.

use orchestra_tests::place::Place;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[tokio::test(flavor = "multi_thread")]
async fn googles_clients_are_at_home() {
    let python = format!("{ROOT}/target/clients/bin/python");
    if !std::path::Path::new(&python).exists() {
        orchestra_tests::tell("Google's clients are not installed here (make clients): nothing was tried");
        return;
    }
    let place = Place::at_speed(600).await;
    let url = format!("http://{}", place.google);
    let tests = format!("{ROOT}/tests/clients");
    let arguments = ["-B", "-W", "ignore", "-m", "unittest", "discover", "-v", "-s", &tests].map(str::to_string);
    let run = move || Command::new(python).args(arguments).env("SANDBOX_URL", url).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    println!("{told}");
    assert!(output.status.success() && !told.contains("Ran 0 tests"), "{told}");
}
