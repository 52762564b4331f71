//! Queries in PromQL, to a Prometheus or to who answers as it does.

use serde_json::Value;

use super::http;

/// Who is asked: the URL before `/api/v1`.
#[derive(Clone)]
pub struct Promql(pub String);

impl Promql {
    /// The series that a query finds; `None` for none, and before it answers.
    pub fn ask(&self, query: &str) -> Option<Vec<Value>> {
        let answer = http::post_form(&format!("{}/api/v1/query", self.0), &[("query", query)], &[])?;
        // Until a Prometheus has read its own log it answers 503.
        if answer.status != 200 {
            return None;
        }
        let result = answer.json()["data"]["result"].as_array()?.clone();
        (!result.is_empty()).then_some(result)
    }

    /// True when it answers, and finds no series.
    pub fn finds_nothing(&self, query: &str) -> bool {
        let answer = http::post_form(&format!("{}/api/v1/query", self.0), &[("query", query)], &[]);
        answer.is_some_and(|answer| {
            answer.status == 200 && answer.json()["data"]["result"].as_array().is_some_and(Vec::is_empty)
        })
    }

    /// What one of its endpoints says, below `data` of the answer; else why not.
    ///
    /// # Errors
    /// It does not answer, or answers with an error.
    pub fn api(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.0);
        let answer = if form.is_empty() { http::get(&url, &[]) } else { http::post_form(&url, form, &[]) };
        let answer = answer.ok_or_else(|| "no answer".to_owned())?;
        if answer.status == 200 { Ok(answer.json()["data"].take()) } else { Err(answer.body) }
    }

    /// The number that a query comes to.
    pub fn number(&self, query: &str) -> Option<f64> {
        self.ask(query)?[0]["value"][1].as_str()?.parse().ok()
    }

    /// Every sample of the one series that a selector finds, of the last hour: milliseconds and value, as they are stored.
    pub fn samples(&self, selector: &str) -> Vec<(i64, f64)> {
        let Some(series) = self.ask(&format!("{selector}[1h]")) else { return Vec::new() };
        assert_eq!(series.len(), 1, "{selector}: {series:?}");
        let values = series[0]["values"].as_array().unwrap();
        let sample = |value: &Value| {
            let milliseconds = (value[0].as_f64().unwrap() * 1000.0).round() as i64;
            (milliseconds, value[1].as_str().unwrap().parse().unwrap())
        };
        values.iter().map(sample).collect()
    }
}
