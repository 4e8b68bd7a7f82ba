//! Runs one effect.

use orchestra_cloud::{Cloud, CloudError};
use orchestra_planner::plan::Effect;

/// What an effect came to.
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// Google works on it, under this name.
    Operation(String),
}

pub(crate) async fn act(cloud: &Cloud, effect: &Effect) -> Result<Outcome, CloudError> {
    let operation = match effect {
        Effect::CreateService(id, new) => cloud.run.create(id, new).await?,
        Effect::UpdateService(id, etag, change) => cloud.run.update(id, etag, change).await?,
        Effect::DeleteService(id, etag) => cloud.run.delete(id, etag).await?,
        Effect::SetPolicy(id, policy) => {
            cloud.run.set_policy(id, policy).await?;
            return Ok(Outcome::Done);
        }
        Effect::CreateRedis(id, redis, labels) => cloud.redis.create(id, redis, labels).await?,
        Effect::ResizeRedis(id, memory) => cloud.redis.resize(id, *memory).await?,
        Effect::LabelRedis(id, labels) => cloud.redis.label(id, labels).await?,
        Effect::DeleteRedis(id) => cloud.redis.delete(id).await?,
    };
    Ok(Outcome::Operation(operation))
}
