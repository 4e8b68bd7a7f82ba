//! IAM: service accounts of projects.

use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::Context;
use super::mask::Mask;
use super::page::page;
use super::policy::Policy;
use super::problem::Problem;
use super::secrets::project_number;

/// By email.
#[derive(Debug)]
pub(super) struct ServiceAccounts(BTreeMap<String, Account>);

#[derive(Debug)]
struct Account {
    document: Value,
    policy: Policy,
}

impl ServiceAccounts {
    /// The one that the examples' services run as is there.
    pub(super) fn new() -> Self {
        let (id, project) = ("vertex-agent", "cherry-ai-project");
        let email = email(id, project);
        let account = Account::new(&email, project);
        Self(BTreeMap::from([(email, account)]))
    }

    pub(super) fn handle(
        &mut self,
        context: Context<'_>,
        project: &str,
        rest: &[&str],
        verb: &str,
    ) -> Result<Value, Problem> {
        match (rest, &context.request.method, verb) {
            ([], &Method::GET, "") => {
                let own = self.0.iter().filter(|(_, account)| account.document["projectId"] == project);
                page(context.request, "accounts", own.map(|(e, a)| (e.clone(), a.document.clone())).collect(), 100)
            }
            ([], &Method::POST, "") => self.create(context, project),
            ([email], &Method::DELETE, "") => {
                self.account(project, email)?;
                self.0.retain(|known, account| known != email && account.document["uniqueId"] != *email);
                Ok(json!({}))
            }
            ([email], method, verb) => {
                let account = self.account(project, email)?;
                match (method, verb) {
                    (&Method::GET, "") => Ok(account.document.clone()),
                    (&Method::PATCH, "") => account.patch(&context.body()?),
                    (&Method::POST, "undelete" | "signBlob" | "signJwt") => {
                        Err(Problem::unimplemented(&format!("serviceAccounts:{verb}")))
                    }
                    (&Method::POST, "disable" | "enable") => {
                        match verb {
                            "disable" => account.document["disabled"] = json!(true),
                            _ => drop(account.document.as_object_mut().map(|fields| fields.remove("disabled"))),
                        }
                        Ok(json!({}))
                    }
                    _ => account.policy.handle(context, verb),
                }
            }
            ([_, "keys", ..], ..) => Err(Problem::unimplemented("keys of service accounts")),
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    /// By email or by number; `-` stands for whichever project it is in.
    fn account(&mut self, project: &str, email: &str) -> Result<&mut Account, Problem> {
        let is_it = |account: &Account| {
            let same = account.document["email"] == email || account.document["uniqueId"] == email;
            same && (project == "-" || account.document["projectId"] == project)
        };
        let missing = || Problem::not_found(&format!("projects/{project}/serviceAccounts/{email}"));
        self.0.values_mut().find(|account| is_it(account)).ok_or_else(missing)
    }

    fn create(&mut self, context: Context<'_>, project: &str) -> Result<Value, Problem> {
        let body = context.body()?;
        let id = body["accountId"].as_str().unwrap_or_default();
        let fits = (6..=30).contains(&id.len()) && id.starts_with(|c: char| c.is_ascii_lowercase());
        if !fits || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            let rule = "6 to 30 lowercase letters, digits and hyphens, starting with a letter";
            return Err(Problem::field("account_id", format!("{id:?}: {rule}")));
        }
        let email = email(id, project);
        if self.0.contains_key(&email) {
            let message = format!("Service account {id} already exists within project projects/{project}.");
            return Err(Problem::already_exists(message));
        }
        let mut account = Account::new(&email, project);
        Mask::parse("displayName,description").apply(&body["serviceAccount"], &mut account.document)?;
        let document = account.document.clone();
        self.0.insert(email, account);
        Ok(document)
    }
}

fn email(id: &str, project: &str) -> String {
    format!("{id}@{project}.iam.gserviceaccount.com")
}

impl Account {
    fn new(email: &str, project: &str) -> Self {
        let number = project_number(email);
        let mut document = json!({
            "name": format!("projects/{project}/serviceAccounts/{email}"), "projectId": project, "email": email,
            "uniqueId": format!("1{number}00000000"), "oauth2ClientId": format!("1{number}00000000"),
        });
        let policy = Policy::default();
        document["etag"] = json!(policy.etag());
        Self { document, policy }
    }

    /// The answer has the name and what was changed, nothing else.
    fn patch(&mut self, body: &Value) -> Result<Value, Problem> {
        let mask = Mask::parse(body["updateMask"].as_str().unwrap_or_default());
        if let Some(fixed) = mask.outside(&["displayName", "description"]).filter(|_| !mask.is_empty()) {
            return Err(Problem::field("update_mask", format!("field '{fixed}' cannot be updated")));
        }
        mask.apply(&body["serviceAccount"], &mut self.document)?;
        let mut answer = json!({"name": self.document["name"]});
        mask.apply(&self.document, &mut answer)?;
        Ok(answer)
    }
}
