//! A small client: what the tests ask, and the answer whatever its status.

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub cookie: Option<String>,
    pub retry_after: Option<String>,
    /// Seconds since the newest heartbeat that a list is made of.
    pub data_age: Option<u64>,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent()
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
    let mut response = result.ok()?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, cookie) = (header("content-type").unwrap_or_default(), header("set-cookie"));
    let (retry_after, data_age) = (header("retry-after"), header("x-data-age-seconds"));
    let data_age = data_age.map(|seconds| seconds.parse().unwrap());
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(64 << 20).read_to_string().ok()?;
    Some(Answer { status, content_type, cookie, retry_after, data_age, body })
}

/// GET with headers; `None` when nobody answers.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    let request = headers.iter().fold(agent().get(url), |request, (name, value)| request.header(*name, *value));
    answer(request.call())
}

/// POST of a form.
pub fn post_form(url: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Option<Answer> {
    let request = headers.iter().fold(agent().post(url), |request, (name, value)| request.header(*name, *value));
    answer(request.send_form(form.iter().copied()))
}

/// POST of a JSON document.
pub fn post_json(url: &str, document: &Value, headers: &[(&str, &str)]) -> Option<Answer> {
    let request = headers.iter().fold(agent().post(url), |request, (name, value)| request.header(*name, *value));
    answer(request.send_json(document))
}

/// PATCH of a JSON document.
pub fn patch_json(url: &str, document: &Value, headers: &[(&str, &str)]) -> Option<Answer> {
    let request = headers.iter().fold(agent().patch(url), |request, (name, value)| request.header(*name, *value));
    answer(request.send_json(document))
}

/// PUT of a JSON document.
pub fn put_json(url: &str, document: &Value, headers: &[(&str, &str)]) -> Option<Answer> {
    let request = headers.iter().fold(agent().put(url), |request, (name, value)| request.header(*name, *value));
    answer(request.send_json(document))
}

/// DELETE.
pub fn delete(url: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    let request = headers.iter().fold(agent().delete(url), |request, (name, value)| request.header(*name, *value));
    answer(request.call())
}
