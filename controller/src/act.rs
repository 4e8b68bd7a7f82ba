//! Carries out a plan's effects.

use orchestra_cloud::{Cloud, CloudError};
use orchestra_planner::plan::{Effect, Outcome};

/// Does one write.
///
/// # Errors
/// When Google refuses, or does not answer.
pub(crate) async fn act(cloud: &Cloud, effect: &Effect) -> Result<Outcome, CloudError> {
    let operation = match effect {
        Effect::CreateService { service, new } => cloud.run.create(service, new).await?,
        Effect::UpdateService { service, etag, change } => cloud.run.update(service, etag, change).await?,
        Effect::DeleteService { service, etag } => cloud.run.delete(service, etag).await?,
        Effect::DeleteRevision { service, revision } => cloud.run.delete_revision(service, revision).await?,
        Effect::SetPolicy { service, policy } => {
            cloud.run.set_policy(service, policy).await?;
            return Ok(Outcome::Done);
        }
        Effect::CreateRedis { redis, spec, labels } => cloud.redis.create(redis, spec, labels).await?,
        Effect::ResizeRedis { redis, memory_size_gb } => cloud.redis.resize(redis, *memory_size_gb).await?,
        Effect::LabelRedis { redis, labels } => cloud.redis.label(redis, labels).await?,
        Effect::DeleteRedis { redis } => cloud.redis.delete(redis).await?,
    };
    Ok(Outcome::Started(operation))
}
