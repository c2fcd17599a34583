//! The answers that do not come from the site.

/// An answer that is always the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Canned {
    pub(super) status: u16,
    /// As the heads of a pack: without `Date`, `Connection` and the empty line.
    pub(super) head: &'static str,
    pub(super) body: &'static str,
}

macro_rules! canned {
    ($name:ident, $status:literal, $reason:literal, $length:literal, $body:literal $(, $extra:literal)*) => {
        pub(super) static $name: Canned = Canned {
            status: $status,
            head: concat!(
                "HTTP/1.1 ", $status, " ", $reason, "\r\n",
                "Content-Type: text/plain; charset=utf-8\r\n",
                "Content-Length: ", $length, "\r\n",
                "Cache-Control: no-store\r\n",
                $($extra, "\r\n",)*
            ),
            body: $body,
        };
    };
}

canned!(HEALTHY, 200, "OK", 3, "ok\n");
canned!(BAD_REQUEST, 400, "Bad Request", 12, "bad request\n");
canned!(NOT_FOUND, 404, "Not Found", 10, "not found\n");
canned!(
    METHOD_NOT_ALLOWED,
    405,
    "Method Not Allowed",
    19,
    "method not allowed\n",
    "Allow: GET, HEAD"
);
canned!(
    NOT_ACCEPTABLE,
    406,
    "Not Acceptable",
    15,
    "not acceptable\n",
    "Vary: Accept-Encoding"
);
canned!(TIMEOUT, 408, "Request Timeout", 16, "request timeout\n");
canned!(
    PRECONDITION_FAILED,
    412,
    "Precondition Failed",
    20,
    "precondition failed\n"
);
canned!(URI_TOO_LONG, 414, "URI Too Long", 13, "URI too long\n");
canned!(
    EXPECTATION_FAILED,
    417,
    "Expectation Failed",
    19,
    "expectation failed\n"
);
canned!(
    HEADERS_TOO_LARGE,
    431,
    "Request Header Fields Too Large",
    32,
    "request header fields too large\n"
);
canned!(
    FAILED,
    500,
    "Internal Server Error",
    22,
    "internal server error\n"
);
canned!(
    NOT_IMPLEMENTED,
    501,
    "Not Implemented",
    16,
    "not implemented\n"
);
canned!(
    UNAVAILABLE,
    503,
    "Service Unavailable",
    20,
    "service unavailable\n",
    "Retry-After: 1"
);
canned!(
    VERSION,
    505,
    "HTTP Version Not Supported",
    27,
    "HTTP version not supported\n"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_right() {
        for canned in [
            &HEALTHY,
            &BAD_REQUEST,
            &NOT_FOUND,
            &METHOD_NOT_ALLOWED,
            &NOT_ACCEPTABLE,
            &TIMEOUT,
            &PRECONDITION_FAILED,
            &URI_TOO_LONG,
            &EXPECTATION_FAILED,
            &HEADERS_TOO_LARGE,
            &FAILED,
            &NOT_IMPLEMENTED,
            &UNAVAILABLE,
            &VERSION,
        ] {
            let length = std::format!("\r\nContent-Length: {}\r\n", canned.body.len());
            assert!(canned.head.contains(&length), "{}", canned.head);
            assert!(canned.head.ends_with("\r\n"));
            assert!(
                canned
                    .head
                    .starts_with(&std::format!("HTTP/1.1 {} ", canned.status))
            );
        }
    }
}
