//! Who may call a service.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use google_cloud_iam_v1::model::{Binding as IamBinding, Policy};
use orchestra_planner::cloud::{Binding, Expr, PolicyView};
use orchestra_planner::names::Etag;

pub(in crate::run) fn policy_view(policy: Policy) -> PolicyView {
    let binding = |b: IamBinding| Binding {
        role: b.role,
        members: b.members,
        condition: b.condition.map(|c| Expr {
            title: c.title,
            description: c.description,
            location: c.location,
            expression: c.expression,
        }),
    };
    PolicyView {
        etag: Etag(STANDARD.encode(&policy.etag)),
        bindings: policy.bindings.into_iter().map(binding).collect(),
    }
}

pub(in crate::run) fn policy(view: &PolicyView) -> Policy {
    let binding = |b: &Binding| {
        let sent = IamBinding::new().set_role(&b.role).set_members(&b.members);
        match &b.condition {
            None => sent,
            Some(expr) => sent.set_condition(
                google_cloud_type::model::Expr::new()
                    .set_title(&expr.title)
                    .set_description(&expr.description)
                    .set_location(&expr.location)
                    .set_expression(&expr.expression),
            ),
        }
    };
    let conditional = view.bindings.iter().any(|b| b.condition.is_some());
    let etag = STANDARD.decode(&view.etag.0).unwrap_or_default();
    Policy::new()
        .set_version(if conditional { 3 } else { 1 })
        .set_bindings(view.bindings.iter().map(binding))
        .set_etag(etag)
}
