//! Lists by the page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::exchange::Request;

/// A page of a list: what is named in `field`, and the token of the next page when there is more. Items come with
/// the key that they are told apart by; `most` is the largest page, and the page when none is asked for.
pub(super) fn page(request: &Request, field: &str, items: Vec<(String, Value)>, most: usize) -> Result<Value, Problem> {
    let (items, next) = turn(request, items, most)?;
    let mut body = Map::new();
    if let Some(next) = next {
        body.insert("nextPageToken".into(), json!(next));
    }
    if !items.is_empty() {
        body.insert(field.into(), Value::Array(items));
    }
    Ok(Value::Object(body))
}

/// The same as text, of items that are text already: for lists that are long.
pub(super) fn page_text(
    request: &Request,
    field: &str,
    items: Vec<(String, &str)>,
    most: usize,
) -> Result<String, Problem> {
    let (items, next) = turn(request, items, most)?;
    let next = next.map(|next| format!("\"nextPageToken\":{:?},", next)).unwrap_or_default();
    Ok(format!("{{{next}{field:?}:[{}]}}", items.join(",")))
}

/// The items of the page that is asked for, and the token of the next.
pub(super) fn turn<T>(
    request: &Request,
    items: Vec<(String, T)>,
    most: usize,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let param = |camel: &str, snake: &str| request.param(camel).or(request.param(snake)).filter(|v| !v.is_empty());
    let size = match param("pageSize", "page_size").map(str::parse::<i64>) {
        None | Some(Ok(0)) => most,
        Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(most).min(most),
        Some(Ok(_)) => return Err(Problem::invalid("page_size must not be negative")),
        Some(Err(_)) => return Err(Problem::invalid("page_size must be a number")),
    };
    let first = match param("pageToken", "page_token") {
        None => 0,
        Some(token) => after(token, &items).ok_or_else(|| Problem::invalid("Invalid page token."))?,
    };
    let more = items.len().saturating_sub(first) > size;
    let shown: Vec<(String, T)> = items.into_iter().skip(first).take(size).collect();
    let next = shown.last().filter(|_| more).map(|(last, _)| URL_SAFE_NO_PAD.encode(last));
    Ok((shown.into_iter().map(|(_, item)| item).collect(), next))
}

/// Where the page after a token begins. What was last shown may be gone by now.
fn after<T>(token: &str, items: &[(String, T)]) -> Option<usize> {
    let last = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let found = items.iter().position(|(key, _)| *key == last).map(|index| index + 1);
    Some(found.unwrap_or_else(|| items.iter().filter(|(key, _)| *key < last).count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::Method;

    fn list(query: &str) -> Result<Value, Problem> {
        let items = ["a", "b", "c"].map(|key| (key.to_string(), json!({"name": key}))).to_vec();
        page(&Request::new(Method::GET, &format!("/x?{query}"), Bytes::new()), "things", items, 100)
    }

    #[test]
    fn pages_follow_each_other_and_the_last_has_no_token() {
        let first = list("pageSize=2").unwrap();
        assert_eq!(first["things"], json!([{"name": "a"}, {"name": "b"}]));
        let token = first["nextPageToken"].as_str().unwrap();
        assert_eq!(list(&format!("pageSize=2&pageToken={token}")).unwrap(), json!({"things": [{"name": "c"}]}));
        assert!(list("pageToken=%21").is_err() && list("pageSize=-1").is_err());
    }
}
