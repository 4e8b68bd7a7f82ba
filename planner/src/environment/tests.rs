use super::*;
use crate::cloud::{Fault, FaultClass};
use crate::plan::Outcome;
use crate::second_look;
use jiff::SignedDuration;
use orchestra_crds::{DeletionPolicy, ManagementPolicy, OperationVerb, RedisTier};
use proptest::prelude::*;
use serde_json::json;

fn environment(redis: serde_json::Value) -> OrchestraEnvironment {
    let environment = json!({
        "apiVersion": "orchestra.cherry-ai.me/v1alpha1", "kind": "OrchestraEnvironment",
        "metadata": {"name": "production", "namespace": "shop", "uid": "u-1", "generation": 1,
                     "finalizers": [FINALIZER]},
        "spec": {"project": "cherry-ai-project", "stage": "Production", "regions": ["us-central1"], "redis": redis},
    });
    serde_json::from_value(environment).unwrap()
}

fn seen(redis: Option<RedisView>) -> Observation {
    Observation {
        now: Timestamp::from_second(1_000_000).unwrap(),
        environment: environment(json!({"tier": "Basic", "memorySizeGb": 2})),
        unread: vec![],
        rollouts: vec![],
        redis: Ok(redis),
        regions: BTreeMap::new(),
        account: None,
        operations: BTreeMap::new(),
        secrets: BTreeMap::new(),
        failed_writes: FailedWrites::new(),
    }
}

fn view(state: &str, tier: RedisTier, memory_size_gb: i32) -> RedisView {
    let Some(Effect::CreateRedis { labels, .. }) = plan(&seen(None)).effects.pop() else { panic!("no create") };
    let (host, port) = (Some("10.0.0.3".into()), Some(6379));
    RedisView { state: state.into(), tier: Some(tier), memory_size_gb, version: None, host, port, labels }
}

fn reason(plan: &Plan<EnvironmentStatus>, type_: &str) -> String {
    plan.status.conditions.iter().find(|c| c.type_ == type_).map(|c| format!("{} {}", c.status, c.reason)).unwrap()
}

#[test]
fn redis_is_not_read_where_none_was_ever_asked_for() {
    let mut world = seen(None);
    world.environment.spec.redis = None;
    assert!(instance_to_ask(&world.environment).is_some(), "it is not known yet");
    world.redis = Err(Fault { class: FaultClass::Retryable, message: "503".into() });
    let unread = Some(plan(&world).status);
    world.environment.status = unread;
    assert!(instance_to_ask(&world.environment).is_some(), "one may be left that was not seen");
    world.redis = Ok(None);
    world.environment.status = Some(plan(&world).status);
    assert_eq!(instance_to_ask(&world.environment), None);
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    assert!(instance_to_ask(&world.environment).is_some(), "a deletion looks once more");
}

#[test]
fn redis_is_created_once_and_its_address_published() {
    let first = plan(&seen(None));
    assert!(matches!(first.effects[..], [Effect::CreateRedis { .. }]));
    assert_eq!(first.status.operations[0].verb, OperationVerb::Create);
    let creating = plan(&seen(Some(view("CREATING", RedisTier::Basic, 2))));
    assert_eq!((creating.effects.len(), reason(&creating, "Ready").as_str()), (0, "False RedisCreating"));
    let ready = plan(&seen(Some(view("READY", RedisTier::Basic, 2))));
    assert_eq!((ready.effects.len(), reason(&ready, "Ready").as_str()), (0, "True Ready"));
    assert_eq!(ready.status.redis.unwrap().host.as_deref(), Some("10.0.0.3"));
}

#[test]
fn b3_a_service_account_that_is_not_there_or_can_not_be_used_or_seen_keeps_the_environment_from_being_ready() {
    let mut world = seen(None);
    world.environment.spec.redis = None;
    assert_eq!(reason(&plan(&world), "IdentityReady"), "True DefaultAccount");
    world.environment.spec.service_account = Some("web-runner".into());
    let email = "web-runner@cherry-ai-project.iam.gserviceaccount.com";
    assert_eq!(account_to_ask(&world.environment).as_deref(), Some(email));
    let denied = Fault { class: FaultClass::Denied, message: "iam.serviceAccounts.get denied".into() };
    let cases = [
        (None, "False LookingUp"),
        (Some(Ok(None)), "False ServiceAccountMissing"),
        (Some(Ok(Some(AccountView { disabled: true }))), "False ServiceAccountDisabled"),
        (Some(Err(denied)), "False AccessDenied"),
    ];
    for (account, told) in cases {
        world.account = account;
        let plan = plan(&world);
        assert_eq!((reason(&plan, "IdentityReady").as_str(), reason(&plan, "Ready").as_str()), (told, told));
        assert!(plan.status.message.unwrap().contains(email));
    }
    world.account = Some(Ok(Some(AccountView { disabled: false })));
    assert_eq!(reason(&plan(&world), "Ready"), "True Ready");
}

#[test]
fn another_tier_is_refused_and_nothing_is_touched() {
    let plan = plan(&seen(Some(view("READY", RedisTier::StandardHa, 2))));
    assert_eq!((plan.effects.len(), reason(&plan, "Stalled").as_str()), (0, "True RedisRecreationRefused"));
}

#[test]
fn b6_another_version_is_told_and_other_labels_are_written() {
    let read = RedisView { version: Some("REDIS_6_X".into()), ..view("READY", RedisTier::Basic, 2) };
    let mut world = seen(Some(read));
    world.environment.spec.redis.as_mut().unwrap().version = Some("REDIS_7_2".into());
    let told = plan(&world);
    assert_eq!((reason(&told, "RedisReady").as_str(), told.effects.len()), ("False RedisVersionDiffers", 0));
    world.environment.spec.redis.as_mut().unwrap().version = None;
    world.environment.spec.labels.insert("team".into(), "payments".into());
    let labelled = plan(&world);
    let [Effect::LabelRedis { labels, .. }] = &labelled.effects[..] else { panic!("{:?}", labelled.effects) };
    assert_eq!(labels["team"], "payments");
}

#[test]
fn a_resize_waits_for_the_operation_before_it() {
    let mut world = seen(Some(view("READY", RedisTier::Basic, 1)));
    let first = plan(&world);
    assert!(matches!(first.effects[..], [Effect::ResizeRedis { memory_size_gb: 2, .. }]));
    world.environment.status =
        Some(absorb(first.status, &first.effects[0], &Outcome::Started("operations/1".into()), world.now));
    let redis = first.effects[0].resource();
    world.operations.insert(redis.clone(), Ok(OperationView::Pending));
    assert_eq!(plan(&world).effects, vec![]);
    let fault = Fault { class: FaultClass::Permanent, message: "quota".into() };
    world.operations.insert(redis, Ok(OperationView::Failed(fault)));
    let failed = plan(&world);
    assert_eq!((failed.effects.len(), reason(&failed, "Stalled").as_str()), (0, "True RedisFailed"));
}

#[test]
fn an_instance_of_another_is_left_alone() {
    let mut other = view("READY", RedisTier::Basic, 1);
    other.labels.insert("orchestra-owner-uid".into(), "u-2".into());
    let mut world = seen(Some(other));
    assert_eq!((plan(&world).effects.len(), reason(&plan(&world), "Stalled").as_str()), (0, "True RedisNotOurs"));
    world.environment.spec.deletion_policy = DeletionPolicy::Delete;
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    assert_let_go_at_the_second_look(&mut world);
}

#[test]
fn a_deletion_waits_for_the_mark_that_is_on_its_way() {
    let mut free = view("READY", RedisTier::Basic, 2);
    free.labels.remove("orchestra-owner-uid");
    let mut world = seen(Some(free.clone()));
    let adopting = plan(&world);
    let [Effect::LabelRedis { labels: marked, .. }] = &adopting.effects[..] else {
        panic!("no mark: {:?}", adopting.effects)
    };
    world.environment.status = Some(adopting.status);
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    world.redis = Ok(Some(RedisView { state: "UPDATING".into(), ..free.clone() }));
    assert_eq!((plan(&world).effects.len(), plan(&world).finalizer), (0, Finalizer::Keep));
    world.redis = Ok(Some(RedisView { labels: marked.clone(), ..free }));
    assert!(matches!(plan(&world).effects[..], [Effect::LabelRedis { .. }]), "and is taken off again");
}

#[test]
fn deletion_follows_the_policy_and_waits_for_rollouts() {
    let mut world = seen(Some(view("READY", RedisTier::Basic, 2)));
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    assert!(
        matches!(&plan(&world).effects[..], [Effect::LabelRedis { labels, .. }] if !labels.contains_key("orchestra-owner-uid"))
    );
    world.environment.spec.deletion_policy = DeletionPolicy::Delete;
    assert!(matches!(plan(&world).effects[..], [Effect::DeleteRedis { .. }]));
    world.rollouts = vec!["api".into()];
    assert_eq!((plan(&world).effects.len(), plan(&world).finalizer), (0, Finalizer::Keep));
    world.rollouts.clear();
    world.redis = Ok(None);
    assert_let_go_at_the_second_look(&mut world);
}

/// Without a write; looks that follow each other in a hurry are one.
fn assert_let_go_at_the_second_look(world: &mut Observation) {
    for _ in 0..3 {
        let doubt = plan(world);
        assert_eq!((doubt.effects.len(), reason(&doubt, "Reconciling")), (0, "True ConfirmingAbsence".into()));
        world.environment.status = Some(doubt.status);
        world.now += SignedDuration::from_secs(1);
    }
    world.now += second_look::LOOK_AGAIN;
    assert_eq!((plan(world).effects.len(), plan(world).finalizer), (0, Finalizer::Remove));
}

#[test]
fn an_instance_read_as_it_was_before_our_mark_is_not_let_go() {
    let mut world = seen(Some(view("READY", RedisTier::Basic, 2)));
    world.environment.status = Some(plan(&world).status);
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    let Ok(Some(marked)) = world.redis.clone() else { panic!("no instance") };
    let mut before = marked.clone();
    before.labels.remove("orchestra-owner-uid");
    world.redis = Ok(Some(before));
    let doubt = plan(&world);
    assert_eq!((doubt.effects.len(), doubt.finalizer), (0, Finalizer::Keep));
    world.environment.status = Some(doubt.status);
    world.redis = Ok(Some(marked));
    let seen_again = plan(&world);
    assert!(matches!(seen_again.effects[..], [Effect::LabelRedis { .. }]));
    assert_eq!(seen_again.status.absent_since, None, "the next doubt begins anew");
}

#[test]
fn a_deletion_that_may_not_see_redis_names_the_way_out() {
    let mut world = seen(Some(view("READY", RedisTier::Basic, 2)));
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    world.redis = Err(Fault { class: FaultClass::Denied, message: "not allowed".into() });
    let kept = plan(&world);
    assert_eq!((kept.finalizer, reason(&kept, "Stalled").as_str()), (Finalizer::Keep, "True AccessDenied"));
    assert!(kept.status.message.unwrap().contains("remove the finalizer"));
    world.redis = Err(Fault { class: FaultClass::Retryable, message: "503".into() });
    assert_eq!(reason(&plan(&world), "Reconciling"), "True Releasing");
}

#[test]
fn a_deletion_that_waits_too_long_names_what_is_in_its_way() {
    let mut world = seen(Some(view("DELETING", RedisTier::Basic, 1)));
    world.environment.spec.deletion_policy = DeletionPolicy::Delete;
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    let begun = plan(&world);
    assert_eq!(reason(&begun, "Stalled"), "False Deleting");
    world.environment.status = Some(begun.status);
    world.now += SignedDuration::from_mins(61);
    for _ in 0..3 {
        let later = plan(&world);
        assert_eq!(reason(&later, "Stalled"), "True DeletionBlocked");
        world.environment.status = Some(later.status);
        world.now += SignedDuration::from_mins(61);
    }
}

#[test]
fn a_deletion_is_not_blamed_for_what_took_long_before_it() {
    let mut world = seen(Some(view("CREATING", RedisTier::Basic, 1)));
    world.environment.status = Some(plan(&world).status);
    world.now += SignedDuration::from_mins(61);
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    assert_eq!(reason(&plan(&world), "Stalled"), "False Releasing");
}

#[test]
fn a_missing_secret_stalls_and_an_unreadable_one_keeps_its_version() {
    let mut world = seen(Some(view("READY", RedisTier::Basic, 2)));
    world.environment.spec.secrets = serde_json::from_value(json!([{"name": "key"}])).unwrap();
    world.secrets.insert("key".into(), Ok(Some(VersionView { number: 3, created_at: None })));
    world.environment.status = Some(plan(&world).status);
    let fault = Fault { class: FaultClass::Retryable, message: "503".into() };
    world.secrets.insert("key".into(), Err(fault));
    assert_eq!(plan(&world).status.secrets[0].version, 3);
    world.secrets.insert("key".into(), Ok(None));
    assert_eq!(reason(&plan(&world), "Stalled"), "True SecretMissing");
}

proptest! {
    /// Whatever the instance is like, at most one write, and planning again from the new status is stable.
    #[test]
    fn a_quiet_environment_writes_nothing(
        state in prop_oneof![Just("READY"), Just("UPDATING"), Just("CREATING"), Just("MAINTENANCE")],
        ha in any::<bool>(), size in 1..4
    ) {
        let tier = if ha { RedisTier::StandardHa } else { RedisTier::Basic };
        let mut world = seen(Some(view(state, tier, size)));
        let first = plan(&world);
        prop_assert!(first.effects.len() <= 1);
        if first.effects.is_empty() {
            world.environment.status = Some(first.status.clone());
            let second = plan(&world);
            prop_assert_eq!(first.status, second.status);
            prop_assert_eq!(second.events, vec![]);
        }
    }
}

#[test]
fn a_confirmation_of_less_memory_is_good_for_one_time() {
    let mut world = seen(Some(view("READY", RedisTier::Basic, 10)));
    world.environment.spec.redis.as_mut().unwrap().memory_size_gb = 5;
    world.environment.metadata.annotations =
        Some([(orchestra_crds::CONFIRM_SHRINK.to_string(), "5".to_string())].into());
    let shrinks =
        |plan: &Plan<EnvironmentStatus>| matches!(plan.effects[..], [Effect::ResizeRedis { memory_size_gb: 5, .. }]);
    let look = |world: &mut Observation, size: i32| {
        world.redis = Ok(Some(view("READY", RedisTier::Basic, size)));
        let plan = plan(world);
        world.environment.status = Some(EnvironmentStatus { operations: vec![], ..plan.status.clone() });
        plan
    };
    assert!(shrinks(&look(&mut world, 10)));
    assert!(shrinks(&look(&mut world, 10)), "until it is done");
    assert!(look(&mut world, 5).effects.is_empty());
    let again = look(&mut world, 20);
    assert_eq!((again.effects.len(), reason(&again, "Stalled").as_str()), (0, "True RedisShrinkUnconfirmed"));
    assert!(again.status.message.unwrap().contains("take off"));
    world.environment.metadata.annotations = None;
    look(&mut world, 20);
    world.environment.metadata.annotations =
        Some([(orchestra_crds::CONFIRM_SHRINK.to_string(), "5".to_string())].into());
    assert!(shrinks(&look(&mut world, 20)), "it was set anew");
}

#[test]
fn less_memory_waits_for_a_person_who_confirms_that_size() {
    let mut world = seen(Some(view("READY", RedisTier::StandardHa, 5)));
    world.environment = environment(json!({"tier": "StandardHa", "memorySizeGb": 2}));
    for confirmed in [None, Some("3")] {
        world.environment.metadata.annotations =
            confirmed.map(|size| BTreeMap::from([(orchestra_crds::CONFIRM_SHRINK.to_string(), size.to_string())]));
        let told = plan(&world);
        assert_eq!((told.effects.len(), reason(&told, "Stalled").as_str()), (0, "True RedisShrinkUnconfirmed"));
    }
    world.environment.metadata.annotations =
        Some(BTreeMap::from([(orchestra_crds::CONFIRM_SHRINK.to_string(), "2".to_string())]));
    assert!(matches!(plan(&world).effects[..], [Effect::ResizeRedis { memory_size_gb: 2, .. }]));
}

#[test]
fn redis_that_is_taken_out_while_it_is_made_is_not_forgotten() {
    let mut world = seen(None);
    let first = plan(&world);
    let create = first.effects[0].clone();
    world.environment.status = Some(absorb(first.status, &create, &Outcome::Started("operations/1".into()), world.now));
    world.environment.spec.redis = None;
    world.operations.insert(create.resource(), Ok(OperationView::Pending));
    let during = plan(&world);
    assert_eq!((during.status.operations.len(), during.effects.len()), (1, 0));
    assert!(during.status.redis.is_some() && reason(&during, "Reconciling").starts_with("True"));
    world.environment.status = Some(during.status);
    world.operations.insert(create.resource(), Ok(OperationView::Done));
    world.redis = Ok(Some(view("READY", RedisTier::Basic, 2)));
    let after = plan(&world);
    assert_eq!(reason(&after, "RedisReady"), "True RedisKept");
    let instance = after.status.redis.unwrap().instance;
    assert!(instance.starts_with("orchestra-production-"), "{instance:?}");
}

#[test]
fn d11_rollouts_that_are_deleted_too_are_no_warning_until_it_takes_long() {
    let mut world = seen(None);
    world.environment.metadata.deletion_timestamp = Some(Time(world.now));
    world.rollouts = vec!["api".into()];
    let soon = plan(&world);
    assert_eq!(reason(&soon, "Reconciling"), "True RolloutsRemain");
    assert!(soon.events.iter().all(|event| event.severity == crate::event::Severity::Normal), "{:?}", soon.events);
    world.environment.status = Some(soon.status);
    world.now += jiff::SignedDuration::from_mins(11);
    assert_eq!(reason(&plan(&world), "Stalled"), "True RolloutsRemain");
}

#[test]
fn what_is_only_observed_is_told_and_left_as_it_is() {
    let mut world = seen(None);
    world.environment.spec.management_policy = ManagementPolicy::Observe;
    let told = plan(&world);
    assert!(told.effects.is_empty() && told.status.operations.is_empty());
    assert_eq!(reason(&told, "Reconciling"), "True OnlyObserved");
    let message = told.status.message.unwrap();
    assert!(message.ends_with("It would write: create redis: instance: Basic, 2 GiB"), "{message}");
    let mut smaller = seen(Some(view("READY", RedisTier::Basic, 1)));
    smaller.environment.spec.management_policy = ManagementPolicy::Observe;
    smaller.environment.spec.labels = BTreeMap::from([("team".into(), "shop".into())]);
    let told = plan(&smaller);
    assert!(told.status.message.unwrap().contains("label redis: labels: "));
    assert!(told.status.redis.unwrap().granted_labels.is_empty(), "nothing was put on it");
    smaller.environment.metadata.deletion_timestamp = Some(Time(smaller.now));
    assert_eq!(plan(&smaller).finalizer, Finalizer::Remove);
}
