//! The identity: the service account that containers run as. That it is there is asked of Google, not believed.

use orchestra_crds::OrchestraEnvironment;

use super::super::Observation;
use super::super::part::PartPlan;
use crate::reason::Reason;
use crate::template::account;

/// The service account to ask about, by its e-mail address; none: the services run as the project's default one.
pub fn account_to_ask(environment: &OrchestraEnvironment) -> Option<String> {
    let spec = &environment.spec;
    spec.service_account.as_ref().map(|name| account(name, &spec.project))
}

/// Whether the account is there and can be used.
pub(in super::super) fn plan(seen: &Observation) -> PartPlan {
    let Some(email) = account_to_ask(&seen.environment) else {
        return PartPlan::ready(Reason::DefaultAccount, "services run as the default service account of the project");
    };
    match &seen.account {
        Some(Ok(Some(account))) if account.disabled => PartPlan::stalled(
            Reason::ServiceAccountDisabled,
            format!(
                "spec.serviceAccount: `{email}` is disabled, and nothing can start as it: enable it, or name another"
            ),
        ),
        Some(Ok(Some(_))) => PartPlan::ready(Reason::ServiceAccountFound, format!("services run as `{email}`")),
        Some(Ok(None)) => PartPlan::stalled(
            Reason::ServiceAccountMissing,
            format!("spec.serviceAccount: there is no service account `{email}`: create it, or correct the name"),
        ),
        Some(Err(fault)) => {
            let mut plan = PartPlan::unreadable(&format!("service account `{email}`"), fault);
            if !plan.unread {
                let way_out = "correct spec.serviceAccount, switch iam.googleapis.com on, or give the controller \
                               roles/iam.serviceAccountUser on the account";
                plan.note.message = format!("{}: {way_out}", plan.note.message.trim_end_matches('.'));
            }
            plan
        }
        None => PartPlan::working(Reason::LookingUp, format!("service account `{email}` is being looked up")),
    }
}
