//! Dashboards for Grafana, in its classic form: each panel is a line here, and its queries name metrics of the catalogue.

mod controller;
mod fleet;
mod rollout;

use serde_json::{Value, json};

use controller::CONTROLLER;
use fleet::FLEET;
use rollout::ROLLOUT;

/// How a panel draws.
#[derive(Clone, Copy)]
enum Draws {
    /// The present value, large.
    Stat,
    /// Lines over time.
    Lines,
    /// Bars that add up.
    Bars,
    /// The last values, as rows: what their labels are called.
    Table(&'static [(&'static str, &'static str)]),
}

struct Panel {
    title: &'static str,
    about: &'static str,
    draws: Draws,
    unit: &'static str,
    /// Width of 24.
    width: u32,
    /// Queries, each with the name of what it draws.
    queries: &'static [(&'static str, &'static str)],
}

/// A dashboard.
pub struct Dashboard {
    /// Its identity; also the name of its file.
    pub uid: &'static str,
    title: &'static str,
    /// Its variables, and the query for their values.
    variables: &'static [(&'static str, &'static str)],
    rows: &'static [(&'static str, &'static [Panel])],
}

const HEIGHT: u32 = 8;

macro_rules! panel {
    ($title:literal, $about:literal, $draws:expr, $unit:literal, $width:literal, [$(($query:expr, $legend:literal)),* $(,)?]) => {
        Panel { title: $title, about: $about, draws: $draws, unit: $unit, width: $width, queries: &[$(($query, $legend)),*] }
    };
}
use panel;

/// Each of them.
pub fn all() -> [Dashboard; 3] {
    [FLEET, ROLLOUT, CONTROLLER]
}

const SOURCE: &str = "${datasource}";

impl Panel {
    fn targets(&self) -> Vec<Value> {
        let table = matches!(self.draws, Draws::Table(_));
        // Of what was there before, the last value would be shown beside what is.
        let instant = table || matches!(self.draws, Draws::Stat);
        let target = |(index, (query, legend)): (usize, &(&str, &str))| {
            let reference = char::from(b'A' + u8::try_from(index).unwrap_or(25));
            json!({
                "refId": reference.to_string(), "expr": query, "legendFormat": legend, "instant": instant, "range": !instant,
                "format": if table { "table" } else { "time_series" },
                "datasource": {"type": "prometheus", "uid": SOURCE},
            })
        };
        self.queries.iter().enumerate().map(target).collect()
    }

    fn json(&self, id: u32, x: u32, y: u32) -> Value {
        let kind = match self.draws {
            Draws::Stat => "stat",
            Draws::Lines | Draws::Bars => "timeseries",
            Draws::Table(_) => "table",
        };
        let custom = match self.draws {
            Draws::Bars => {
                json!({"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}})
            }
            Draws::Lines => json!({"drawStyle": "line", "fillOpacity": 10, "showPoints": "never"}),
            Draws::Stat | Draws::Table(_) => json!({}),
        };
        let mut panel = json!({
            "id": id, "type": kind, "title": self.title, "description": self.about,
            "datasource": {"type": "prometheus", "uid": SOURCE},
            "gridPos": {"x": x, "y": y, "w": self.width, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "custom": custom}, "overrides": []},
            "targets": self.targets(),
        });
        match self.draws {
            Draws::Stat => {
                panel["options"] =
                    json!({"textMode": "value_and_name", "reduceOptions": {"calcs": ["lastNotNull"], "values": false}});
            }
            Draws::Table(columns) => panel["transformations"] = columns_of(columns),
            Draws::Lines | Draws::Bars => {
                panel["options"] = json!({"legend": {"displayMode": "list", "placement": "bottom"}})
            }
        }
        panel
    }
}

/// Shows those labels alone, in that order and under those names.
fn columns_of(columns: &[(&str, &str)]) -> Value {
    let names: Vec<&str> = columns.iter().map(|(label, _)| *label).collect();
    let shown: serde_json::Map<String, Value> =
        columns.iter().map(|(label, name)| (label.to_string(), json!(name))).collect();
    let order: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(index, label)| (label.to_string(), json!(index))).collect();
    json!([
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": {"indexByName": order, "renameByName": shown}},
    ])
}

impl Dashboard {
    fn variables(&self) -> Vec<Value> {
        let source = json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0});
        let is_fleet = self.uid == FLEET.uid;
        let variable = |(name, query): &(&str, &str)| {
            let derived = matches!(*name, "environment" | "service" | "project");
            json!({
                "name": name, "type": "query", "query": {"query": query, "refId": name}, "refresh": 2,
                "datasource": {"type": "prometheus", "uid": SOURCE}, "includeAll": is_fleet, "multi": is_fleet, "sort": 1,
                "hide": if derived { 2 } else { 0 },
            })
        };
        std::iter::once(source).chain(self.variables.iter().map(variable)).collect()
    }

    /// As Grafana's schema has it: each field is there.
    fn links(&self) -> Value {
        let others = all().into_iter().filter(|other| other.uid != self.uid);
        let mut links: Vec<Value> =
            others.map(|other| link(other.title, &format!("/d/{}", other.uid), false)).collect();
        if self.uid == ROLLOUT.uid {
            let url = "https://console.cloud.google.com/run?project=${project}&search=${service}";
            links.push(link("Cloud Run", url, true));
        }
        json!(links)
    }

    /// As Grafana imports it.
    pub fn json(&self) -> Value {
        let (mut panels, mut id, mut y) = (vec![], 0, 0);
        for (title, row) in self.rows {
            id += 1;
            panels.push(json!({"id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
                               "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}));
            y += 1;
            let mut x = 0;
            for panel in *row {
                if x + panel.width > 24 {
                    (x, y) = (0, y + HEIGHT);
                }
                id += 1;
                panels.push(panel.json(id, x, y));
                x += panel.width;
            }
            y += HEIGHT;
        }
        json!({
            "uid": self.uid, "title": self.title, "tags": ["orchestra"], "schemaVersion": 39, "version": 1, "editable": true,
            "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
            "templating": {"list": self.variables()}, "annotations": {"list": []}, "links": self.links(), "panels": panels,
        })
    }
}

/// A link of a dashboard: to another one at the same time, or out of Grafana.
fn link(title: &str, url: &str, is_outside: bool) -> Value {
    json!({
        "type": "link", "title": title, "url": url, "keepTime": !is_outside, "targetBlank": is_outside, "asDropdown": false,
        "includeVars": false, "icon": "external link", "tags": [], "tooltip": "",
    })
}
