//! Memorystore for Redis. One field for each update; operations are asked about by name.

use google_cloud_redis_v1::client::CloudRedis;
use google_cloud_redis_v1::model::{Instance, instance};
use google_cloud_wkt::FieldMask;
use orchestra_crds::{Redis, RedisTier};
use orchestra_planner::cloud::{OperationView, RedisId, RedisView};
use std::collections::BTreeMap;

use crate::CloudError;
use crate::call::{Calls, once, view};

/// The Memorystore port.
#[derive(Clone, Debug)]
pub struct Memorystore {
    pub(crate) client: CloudRedis,
    /// Where writes go.
    pub(crate) writes: CloudRedis,
    pub(crate) calls: Calls,
}

fn parent(id: &RedisId) -> String {
    format!("projects/{}/locations/{}", id.project, id.region)
}

fn path(id: &RedisId) -> String {
    format!("{}/instances/{}", parent(id), id.name)
}

impl Memorystore {
    /// Reads an instance.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn instance(&self, id: &RedisId) -> Result<Option<RedisView>, CloudError> {
        let read = self.client.get_instance().set_name(path(id)).send();
        Ok(self.calls.find("get Redis instance", read).await?.map(read_instance))
    }

    /// Reads an operation.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn operation(&self, name: &str) -> Result<OperationView, CloudError> {
        let read = self.calls.find("get Redis operation", self.client.get_operation().set_name(name).send()).await?;
        Ok(view(read, "Redis operation"))
    }

    /// Creates an instance; gives the name of the operation.
    ///
    /// # Errors
    /// Conflict when there is one of that name.
    pub async fn create(
        &self,
        id: &RedisId,
        redis: &Redis,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, CloudError> {
        let tier = match redis.tier {
            RedisTier::Basic => instance::Tier::Basic,
            RedisTier::StandardHa => instance::Tier::StandardHa,
        };
        let wanted = Instance::new()
            .set_tier(tier)
            .set_memory_size_gb(redis.memory_size_gb)
            .set_redis_version(redis.version.clone().unwrap_or_default())
            .set_labels(labels.clone());
        let create = self.writes.create_instance().set_parent(parent(id)).set_instance_id(&id.name);
        Ok(self.calls.call("create Redis instance", once(create.set_instance(wanted)).send()).await?.name)
    }

    /// Changes the memory, in GiB; gives the name of the operation.
    ///
    /// # Errors
    /// When another operation is under way, or Google refuses.
    pub async fn resize(&self, id: &RedisId, memory_size_gb: i32) -> Result<String, CloudError> {
        self.update(id, Instance::new().set_memory_size_gb(memory_size_gb), "memory_size_gb").await
    }

    /// Changes the labels; gives the name of the operation.
    ///
    /// # Errors
    /// When another operation is under way, or Google refuses.
    pub async fn label(&self, id: &RedisId, labels: &BTreeMap<String, String>) -> Result<String, CloudError> {
        self.update(id, Instance::new().set_labels(labels.clone()), "labels").await
    }

    async fn update(&self, id: &RedisId, wanted: Instance, field: &str) -> Result<String, CloudError> {
        let mask = FieldMask::default().set_paths([field]);
        let update = self.writes.update_instance().set_instance(wanted.set_name(path(id))).set_update_mask(mask);
        Ok(self.calls.call("update Redis instance", once(update).send()).await?.name)
    }

    /// Deletes an instance and all its data; gives the name of the operation.
    ///
    /// # Errors
    /// When another operation is under way, or Google refuses.
    pub async fn delete(&self, id: &RedisId) -> Result<String, CloudError> {
        let delete = self.writes.delete_instance().set_name(path(id));
        Ok(self.calls.call("delete Redis instance", once(delete).send()).await?.name)
    }
}

fn read_instance(instance: Instance) -> RedisView {
    RedisView {
        state: instance.state.name().unwrap_or("UNKNOWN").to_string(),
        tier: match instance.tier {
            instance::Tier::Basic => Some(RedisTier::Basic),
            instance::Tier::StandardHa => Some(RedisTier::StandardHa),
            _ => None,
        },
        memory_size_gb: instance.memory_size_gb,
        version: (!instance.redis_version.is_empty()).then_some(instance.redis_version),
        host: (!instance.host.is_empty()).then_some(instance.host),
        port: (instance.port > 0).then_some(instance.port),
        labels: instance.labels.into_iter().collect(),
    }
}
