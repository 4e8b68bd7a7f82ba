//! Writes the CRDs as YAML into the folder given as the first argument.

use kube::CustomResourceExt;
use orchestra_crds::{OrchestraEnvironment, Rollout};
use std::{error::Error, fs, path::Path};

const HEADER: &str = "# Generated from crds/src by `make crds`; do not edit.\n";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?;
    for crd in [OrchestraEnvironment::crd(), Rollout::crd()] {
        let path = Path::new(&folder).join(format!("{}.yaml", crd.spec.names.plural));
        fs::write(path, format!("{HEADER}{}", serde_yaml_ng::to_string(&crd)?))?;
    }
    Ok(())
}
