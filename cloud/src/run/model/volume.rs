//! Volumes, both ways.

use google_cloud_run_v2::model::empty_dir_volume_source::Medium;
use google_cloud_run_v2::model::volume::VolumeType;
use google_cloud_run_v2::model::{
    CloudSqlInstance, EmptyDirVolumeSource, GCSVolumeSource, NFSVolumeSource, SecretVolumeSource, VersionToPath,
    Volume as SdkVolume,
};
use orchestra_planner::template::{Bytes, EffectiveTemplate, SecretFile, SecretVersion, Version, Volume};
use std::collections::BTreeMap;

/// The volumes, each put over the one of its name that is there.
pub(super) fn write_all(from: &EffectiveTemplate, base: &[SdkVolume]) -> Vec<SdkVolume> {
    let known = |name: &str| base.iter().find(|known| known.name == name).cloned().unwrap_or_default();
    from.volumes.iter().map(|(name, volume)| write(name, volume, known(name))).collect()
}

fn write(name: &str, from: &Volume, base: SdkVolume) -> SdkVolume {
    let base = base.set_name(name);
    match from {
        Volume::Secret { secret, files, default_mode } => {
            let item = |(path, file): (&String, &SecretFile)| {
                let version = file.version.version.to_string();
                VersionToPath::new().set_path(path).set_version(version).set_mode(file.mode.unwrap_or(0))
            };
            let source = base.secret().map(|known| known.as_ref().clone()).unwrap_or_default();
            let source = source.set_secret(secret).set_items(files.iter().map(item));
            base.set_secret(source.set_default_mode(default_mode.unwrap_or(0)))
        }
        Volume::Gcs { bucket, read_only, mount_options } => {
            let source = base.gcs().map(|known| known.as_ref().clone()).unwrap_or_default();
            base.set_gcs(source.set_bucket(bucket).set_read_only(*read_only).set_mount_options(mount_options))
        }
        Volume::Nfs { server, path, read_only } => {
            let source = base.nfs().map(|known| known.as_ref().clone()).unwrap_or_default();
            base.set_nfs(source.set_server(server).set_path(path).set_read_only(*read_only))
        }
        Volume::EmptyDir { size } => {
            let source = base.empty_dir().map(|known| known.as_ref().clone()).unwrap_or_default();
            let size = size.map(|size| size.to_string()).unwrap_or_default();
            base.set_empty_dir(source.set_medium(Medium::Memory).set_size_limit(size))
        }
        Volume::CloudSql { instances } => {
            let source = base.cloud_sql_instance().map(|known| known.as_ref().clone()).unwrap_or_default();
            base.set_cloud_sql_instance(source.set_instances(instances))
        }
    }
}

/// A volume that is there, with its name. None: it is of a kind that is not known here.
pub(super) fn read(volume: &SdkVolume) -> Option<(String, Volume)> {
    let read = match volume.volume_type.as_ref()? {
        VolumeType::Secret(source) => secret(source),
        VolumeType::Gcs(source) => gcs(source),
        VolumeType::Nfs(source) => nfs(source),
        VolumeType::EmptyDir(source) => empty_dir(source),
        VolumeType::CloudSqlInstance(source) => cloud_sql(source),
        _ => return None,
    };
    Some((volume.name.clone(), read))
}

fn secret(source: &SecretVolumeSource) -> Volume {
    let set = |mode: i32| Some(mode).filter(|mode| *mode != 0);
    let version =
        |text: &str| SecretVersion { secret: source.secret.clone(), version: Version::parse(text), created_at: None };
    let file = |item: &VersionToPath| {
        (item.path.clone(), SecretFile { version: version(&item.version), mode: set(item.mode) })
    };
    // Without items, the newest is in a file of the secret's name.
    let mut files: BTreeMap<String, SecretFile> = source.items.iter().map(file).collect();
    if files.is_empty() {
        let name = source.secret.rsplit('/').next().unwrap_or_default().to_string();
        files.insert(name, SecretFile { version: version("latest"), mode: None });
    }
    Volume::Secret { secret: source.secret.clone(), files, default_mode: set(source.default_mode) }
}

fn gcs(source: &GCSVolumeSource) -> Volume {
    let mount_options = source.mount_options.clone();
    Volume::Gcs { bucket: source.bucket.clone(), read_only: source.read_only, mount_options }
}

fn nfs(source: &NFSVolumeSource) -> Volume {
    Volume::Nfs { server: source.server.clone(), path: source.path.clone(), read_only: source.read_only }
}

fn empty_dir(source: &EmptyDirVolumeSource) -> Volume {
    Volume::EmptyDir { size: Bytes::parse(&source.size_limit) }
}

fn cloud_sql(source: &CloudSqlInstance) -> Volume {
    Volume::CloudSql { instances: source.instances.iter().cloned().collect() }
}
