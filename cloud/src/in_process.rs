//! The SDK's clients without sockets: each call becomes the REST request that the SDK would send, handed to a transport
//! in the same process. The simulation runs the real adapter this way, under a virtual clock.

use google_cloud_gax::error::Error;
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::response::Response;
use google_cloud_iam_admin_v1::model as iam_admin;
use google_cloud_iam_v1::model as iam;
use google_cloud_logging_v2::model as logging;
use google_cloud_longrunning::model as lro;
use google_cloud_monitoring_v3::model as monitoring;
use google_cloud_redis_v1::model as redis;
use google_cloud_run_v2::model as run;
use google_cloud_secretmanager_v1::model as secret;
use google_cloud_wkt::{FieldMask, Timestamp};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::rest::refusal;

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// JSON body.
    pub body: Value,
}

/// Something in the same process that speaks Google's REST protocols.
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Answers a request; `path` has the query, percent-encoded. None: the connection broke before an answer came.
    fn call<'a>(
        &'a self,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>>;
}

type Result<T> = google_cloud_gax::Result<Response<T>>;

/// All services at once.
#[derive(Clone, Debug)]
pub(crate) struct Stub {
    transport: Arc<dyn Transport>,
}

/// Query parameters, empty ones left out.
#[derive(Default)]
struct Query(Vec<(String, String)>);

impl Query {
    fn with(mut self, key: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        if !value.is_empty() && value != "false" && value != "0" {
            self.0.push((key.to_string(), value));
        }
        self
    }

    fn mask(self, mask: Option<&FieldMask>) -> Self {
        // As JSON a mask is one text, in JSON's names.
        let text = mask.and_then(|mask| serde_json::to_value(mask).ok()?.as_str().map(ToString::to_string));
        self.with("updateMask", text.unwrap_or_default())
    }

    fn time(self, key: &str, time: Option<&Timestamp>) -> Self {
        self.with(key, time.map(|t| String::from(*t)).unwrap_or_default())
    }
}

/// Percent-encodes all but unreserved characters, and commas, which stand between the fields of a mask.
pub(crate) fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~,".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Stub {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        query: Query,
        body: Option<impl Serialize>,
    ) -> Result<T> {
        let query: Vec<String> = query.0.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let body = body.map(serde_json::to_value).transpose().map_err(Error::ser)?;
        match self.transport.call(method, path, body).await {
            Some(answer) if answer.status < 400 => {
                serde_json::from_value(answer.body).map(Response::from).map_err(Error::deser)
            }
            Some(answer) => Err(refusal(&answer)),
            None => Err(Error::io("the connection broke")),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: String, query: Query) -> Result<T> {
        self.send(Method::GET, path, query, None::<Value>).await
    }
}

impl google_cloud_run_v2::stub::Services for Stub {
    async fn create_service(&self, req: run::CreateServiceRequest, _: RequestOptions) -> Result<lro::Operation> {
        let query = Query::default().with("serviceId", &req.service_id);
        self.send(Method::POST, format!("/v2/{}/services", req.parent), query, req.service).await
    }

    async fn list_services(
        &self,
        req: run::ListServicesRequest,
        _: RequestOptions,
    ) -> Result<run::ListServicesResponse> {
        let query = Query::default().with("pageSize", req.page_size).with("pageToken", &req.page_token);
        self.get(format!("/v2/{}/services", req.parent), query).await
    }

    async fn get_service(&self, req: run::GetServiceRequest, _: RequestOptions) -> Result<run::Service> {
        self.get(format!("/v2/{}", req.name), Query::default()).await
    }

    async fn update_service(&self, req: run::UpdateServiceRequest, _: RequestOptions) -> Result<lro::Operation> {
        let name = req.service.as_ref().map(|s| s.name.clone()).unwrap_or_default();
        let query = Query::default().mask(req.update_mask.as_ref());
        self.send(Method::PATCH, format!("/v2/{name}"), query, req.service).await
    }

    async fn delete_service(&self, req: run::DeleteServiceRequest, _: RequestOptions) -> Result<lro::Operation> {
        let query = Query::default().with("etag", &req.etag);
        self.send(Method::DELETE, format!("/v2/{}", req.name), query, None::<Value>).await
    }

    async fn get_iam_policy(&self, req: iam::GetIamPolicyRequest, _: RequestOptions) -> Result<iam::Policy> {
        let version = req.options.map_or(0, |o| o.requested_policy_version);
        let query = Query::default().with("options.requestedPolicyVersion", version);
        self.get(format!("/v2/{}:getIamPolicy", req.resource), query).await
    }

    async fn set_iam_policy(&self, req: iam::SetIamPolicyRequest, _: RequestOptions) -> Result<iam::Policy> {
        self.send(Method::POST, format!("/v2/{}:setIamPolicy", req.resource), Query::default(), Some(req)).await
    }
}

impl google_cloud_run_v2::stub::Revisions for Stub {
    async fn get_revision(&self, req: run::GetRevisionRequest, _: RequestOptions) -> Result<run::Revision> {
        self.get(format!("/v2/{}", req.name), Query::default()).await
    }

    async fn delete_revision(&self, req: run::DeleteRevisionRequest, _: RequestOptions) -> Result<lro::Operation> {
        self.send(Method::DELETE, format!("/v2/{}", req.name), Query::default(), None::<Value>).await
    }
}

impl google_cloud_redis_v1::stub::CloudRedis for Stub {
    async fn get_instance(&self, req: redis::GetInstanceRequest, _: RequestOptions) -> Result<redis::Instance> {
        self.get(format!("/v1/{}", req.name), Query::default()).await
    }

    async fn create_instance(&self, req: redis::CreateInstanceRequest, _: RequestOptions) -> Result<lro::Operation> {
        let query = Query::default().with("instanceId", &req.instance_id);
        self.send(Method::POST, format!("/v1/{}/instances", req.parent), query, req.instance).await
    }

    async fn update_instance(&self, req: redis::UpdateInstanceRequest, _: RequestOptions) -> Result<lro::Operation> {
        let name = req.instance.as_ref().map(|i| i.name.clone()).unwrap_or_default();
        let query = Query::default().mask(req.update_mask.as_ref());
        self.send(Method::PATCH, format!("/v1/{name}"), query, req.instance).await
    }

    async fn delete_instance(&self, req: redis::DeleteInstanceRequest, _: RequestOptions) -> Result<lro::Operation> {
        self.send(Method::DELETE, format!("/v1/{}", req.name), Query::default(), None::<Value>).await
    }

    async fn get_operation(&self, req: lro::GetOperationRequest, _: RequestOptions) -> Result<lro::Operation> {
        self.get(format!("/v1/{}", req.name), Query::default()).await
    }
}

impl google_cloud_secretmanager_v1::stub::SecretManagerService for Stub {
    async fn list_secret_versions(
        &self,
        req: secret::ListSecretVersionsRequest,
        _: RequestOptions,
    ) -> Result<secret::ListSecretVersionsResponse> {
        let query = Query::default().with("pageSize", req.page_size).with("filter", &req.filter);
        let query = query.with("pageToken", &req.page_token);
        self.get(format!("/v1/{}/versions", req.parent), query).await
    }

    async fn get_secret_version(
        &self,
        req: secret::GetSecretVersionRequest,
        _: RequestOptions,
    ) -> Result<secret::SecretVersion> {
        self.get(format!("/v1/{}", req.name), Query::default()).await
    }
}

impl google_cloud_monitoring_v3::stub::MetricService for Stub {
    async fn list_time_series(
        &self,
        req: monitoring::ListTimeSeriesRequest,
        _: RequestOptions,
    ) -> Result<monitoring::ListTimeSeriesResponse> {
        let (interval, aggregation) = (req.interval.unwrap_or_default(), req.aggregation.unwrap_or_default());
        let period = aggregation.alignment_period.map(String::from).unwrap_or_default();
        let mut query = Query::default()
            .with("filter", &req.filter)
            .time("interval.startTime", interval.start_time.as_ref())
            .time("interval.endTime", interval.end_time.as_ref())
            .with("aggregation.alignmentPeriod", period)
            .with("aggregation.perSeriesAligner", aggregation.per_series_aligner.name().unwrap_or_default())
            .with("aggregation.crossSeriesReducer", aggregation.cross_series_reducer.name().unwrap_or_default())
            .with("view", req.view.name().unwrap_or_default())
            .with("pageToken", &req.page_token);
        for field in &aggregation.group_by_fields {
            query = query.with("aggregation.groupByFields", field);
        }
        self.get(format!("/v3/{}/timeSeries", req.name), query).await
    }

    async fn get_metric_descriptor(
        &self,
        req: monitoring::GetMetricDescriptorRequest,
        _: RequestOptions,
    ) -> Result<google_cloud_api::model::MetricDescriptor> {
        self.get(format!("/v3/{}", req.name), Query::default()).await
    }
}

impl google_cloud_logging_v2::stub::LoggingServiceV2 for Stub {
    async fn list_log_entries(
        &self,
        req: logging::ListLogEntriesRequest,
        _: RequestOptions,
    ) -> Result<logging::ListLogEntriesResponse> {
        self.send(Method::POST, "/v2/entries:list".to_string(), Query::default(), Some(req)).await
    }
}

impl google_cloud_iam_admin_v1::stub::Iam for Stub {
    async fn get_service_account(
        &self,
        req: iam_admin::GetServiceAccountRequest,
        _: RequestOptions,
    ) -> Result<iam_admin::ServiceAccount> {
        self.get(format!("/v1/{}", req.name), Query::default()).await
    }
}
