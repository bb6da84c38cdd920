//! What is wrong with a request, in the shape that OpenAI's clients read.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mqt::Error;
use mqt::internals::untrusted;
use serde_json::{Value, json};

/// A refusal, or a failure of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// One sentence; parts that a stranger wrote are shortened and escaped.
    pub(crate) message: String,
    /// The request's field that it is about.
    pub(crate) param: Option<String>,
    /// A word for programs.
    pub(crate) code: &'static str,
    /// Seconds after which another try makes sense.
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl AsRef<str>) -> Problem {
        let message = untrusted::one_line(message.as_ref());
        Problem { status, message, param: None, code, retry_after: None }
    }

    /// A value that cannot be used, by the name of its field.
    pub(crate) fn invalid(param: impl Into<String>, why: impl AsRef<str>) -> Problem {
        let param = param.into();
        let message = format!("{param}: {}", why.as_ref());
        Problem::new(StatusCode::BAD_REQUEST, "invalid_value", message).of(param)
    }

    /// A field that is understood and that this server does not do.
    pub(crate) fn unsupported(param: impl Into<String>, why: impl AsRef<str>) -> Problem {
        Problem { code: "unsupported_value", ..Problem::invalid(param, why) }
    }

    /// A picture that is not read.
    pub(crate) fn picture(why: impl AsRef<str>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_image", why).of("messages")
    }

    /// Too much is waiting.
    pub(crate) fn busy(seconds: u64) -> Problem {
        let message = format!("too many requests are waiting; try again in {seconds} s");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message);
        Problem { retry_after: Some(seconds), ..problem }
    }

    /// The server is about to end.
    pub(crate) fn ending() -> Problem {
        let message = "the server is shutting down; the request was not answered";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message)
    }

    /// A failure of ours, whose reason is in the log.
    pub(crate) fn internal() -> Problem {
        let message = "the server failed to answer; its log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// The same, about this field.
    pub(crate) fn of(mut self, param: impl Into<String>) -> Problem {
        self.param = Some(untrusted::cut(&param.into(), untrusted::limits::NAME));
        self
    }

    /// Whether the client's request is at fault.
    pub(crate) fn is_theirs(&self) -> bool {
        self.status.is_client_error()
    }

    /// The object that clients read.
    pub(crate) fn json(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            status if status < 500 => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }})
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Problem {
        let said = error.to_string();
        match error {
            Error::BudgetOutOfRange { .. } | Error::BudgetNotOffered { .. } => {
                Problem::invalid("image_tokens", said)
            }
            Error::ContextFull { .. } => {
                let message = format!(
                    "{said}; send fewer or shorter messages, use fewer image tokens, or start the server with a larger --context"
                );
                let problem =
                    Problem::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message);
                problem.of("messages")
            }
            Error::InvalidSetting { what, .. } => {
                let param = match what.as_str() {
                    "the schema" | "the grammar" => "response_format",
                    "the choices" => "choices",
                    _ => "messages",
                };
                Problem::invalid(param, said)
            }
            Error::ImageUnreadable { .. } | Error::ImageMissing { .. } => Problem::picture(said),
            Error::Cancelled => Problem::ending(),
            Error::DeviceLost { .. } | Error::OutOfMemory { .. } => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Problem { retry_after: Some(5), ..Problem::new(status, "device_failed", said) }
            }
            _ => Problem::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.json())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
