//! Executors that break what is said about redirects.

use serde_json::{Value, json};
use url::Url;

use super::hops::{Hop, Next, hops};
use super::parts::{add_header, drop_headers, edit_text, header, headers, name};
use crate::conformance::zoo::specimen::Specimen;
use crate::conformance::zoo::tamper::calls;

/// All of them.
pub(super) const DEFECTS: &[Specimen] = &[
    Specimen::executor("policy-ignored", "HTTP-18", "Redirects are followed whatever the policy says.", || {
        calls(|call| {
            if call["redirectPolicy"] == "stop" {
                call["redirectPolicy"] = json!("follow");
            }
        })
    }),
    Specimen::executor("308-is-the-result", "HTTP-19", "A 308 is not followed.", || {
        hops(|hop| {
            if hop.status == 308 {
                hop.next = Next::Result;
            }
        })
    }),
    Specimen::executor(
        "relative-is-the-result",
        "HTTP-19",
        "A redirect to a relative location is not followed.",
        || {
            hops(|hop| {
                if hop.location.as_deref().is_some_and(|location| Url::parse(location).is_err()) {
                    hop.next = Next::Result;
                }
            })
        },
    ),
    Specimen::executor("relative-to-the-root", "HTTP-19", "A relative location is one below the root.", || {
        hops(|hop| {
            let relative = hop.location.take_if(|location| Url::parse(location).is_err());
            if let Some(location) = relative {
                hop.location = Some(format!("/{}", location.trim_start_matches('/')));
                hop.next = hop.follow();
            }
        })
    }),
    Specimen::executor("location-without-query", "HTTP-19", "The query of a location is lost.", || {
        hops(|hop| {
            let path = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
            hop.change(|_, next| edit_text(next, "url", path));
        })
    }),
    Specimen::executor("nine-redirects", "HTTP-19", "The tenth redirect of a call fails.", || {
        hops(|hop| {
            if hop.followed == 9 && matches!(hop.next, Next::Request(_)) {
                hop.next = Next::Failure;
            }
        })
    }),
    Specimen::executor("twenty-redirects", "HTTP-20", "Twenty redirects of a call are followed.", || {
        hops(up_to_twenty)
    }),
    Specimen::executor(
        "loops-only-counted",
        "HTTP-20",
        "Twenty redirects of a call are followed unless the eleventh leads to the URL that it comes from.",
        || {
            hops(|hop| {
                if matches!(hop.follow(), Next::Request(next) if next["url"] != hop.last["url"]) {
                    up_to_twenty(hop);
                }
            })
        },
    ),
    Specimen::executor(
        "same-method-not-counted",
        "HTTP-20",
        "Twenty redirects of a call are followed where they are 307 or 308.",
        || {
            hops(|hop| {
                if matches!(hop.status, 307 | 308) {
                    up_to_twenty(hop);
                }
            })
        },
    ),
    Specimen::executor(
        "eleventh-redirect-is-the-result",
        "HTTP-20",
        "The eleventh redirect of a call is its result.",
        || {
            hops(|hop| {
                if hop.followed == 10 {
                    hop.next = Next::Result;
                }
            })
        },
    ),
    Specimen::executor("302-keeps-post", "HTTP-21", "A 302 after POST is followed with POST and the body.", || {
        hops(|hop| {
            if hop.status == 302 {
                keep(hop, &["method", "bodyBase64", "headers"]);
            }
        })
    }),
    Specimen::executor("303-keeps-put", "HTTP-21", "A 303 after PUT is followed with PUT, without the body.", || {
        hops(|hop| {
            if hop.status == 303 && hop.last["method"] == "PUT" {
                keep(hop, &["method"]);
            }
        })
    }),
    Specimen::executor("303-head-becomes-get", "HTTP-21", "A 303 after HEAD is followed with GET.", || {
        hops(|hop| {
            if hop.status == 303 {
                hop.change(|_, next| next["method"] = json!("GET"));
            }
        })
    }),
    Specimen::executor(
        "content-language-stays",
        "HTTP-21",
        "Only type and length go with the body of a redirect.",
        || {
            hops(|hop| {
                hop.change(|last, next| {
                    for kept in ["content-language", "content-location"] {
                        if next["bodyBase64"].is_null() && header(next, kept).is_none() {
                            header(last, kept).into_iter().for_each(|value| add_header(next, kept, value));
                        }
                    }
                });
            })
        },
    ),
    Specimen::executor(
        "put-becomes-get",
        "HTTP-22",
        "A 301 or 302 after any method but HEAD is followed with GET.",
        || {
            hops(|hop| {
                if matches!(hop.status, 301 | 302) && hop.last["method"] != "HEAD" {
                    hop.change(|_, next| {
                        next["method"] = json!("GET");
                        next["bodyBase64"] = Value::Null;
                    });
                }
            })
        },
    ),
    Specimen::executor("307-becomes-get", "HTTP-23", "A 307 after POST is followed with GET.", || {
        hops(|hop| {
            if hop.status == 307 {
                hop.change(|_, next| {
                    next["method"] = json!("GET");
                    next["bodyBase64"] = Value::Null;
                });
            }
        })
    }),
    Specimen::executor(
        "308-loses-the-body",
        "HTTP-23",
        "A 308 to another origin is followed without the body.",
        || {
            hops(|hop| {
                if hop.status == 308 && is_abroad(hop) {
                    hop.change(|_, next| next["bodyBase64"] = Value::Null);
                }
            })
        },
    ),
    Specimen::executor("300-is-followed", "HTTP-24", "A 300 with a location is followed.", || {
        hops(|hop| {
            if hop.status == 300 {
                hop.next = hop.follow();
            }
        })
    }),
    Specimen::executor("305-is-followed", "HTTP-24", "A 305 is followed as if its proxy were the resource.", || {
        hops(|hop| {
            if hop.status == 305 {
                hop.next = hop.follow();
            }
        })
    }),
    Specimen::executor(
        "redirect-to-nowhere-fails",
        "HTTP-24",
        "A redirect whose location does not parse fails.",
        || {
            hops(|hop| {
                if hop.location.is_some() && matches!((hop.status, &hop.next), (302, Next::Result)) {
                    hop.next = Next::Failure;
                }
            })
        },
    ),
    Specimen::executor("redirect-without-location-fails", "HTTP-24", "A redirect without a location fails.", || {
        hops(|hop| {
            if hop.location.is_none() && matches!(hop.status, 301 | 302 | 303 | 307 | 308) {
                hop.next = Next::Failure;
            }
        })
    }),
    Specimen::executor("file-redirect-is-the-result", "HTTP-25", "A redirect to a file is the result.", || {
        hops(|hop| {
            if hop.location.as_deref().is_some_and(|location| location.starts_with("file:")) {
                hop.next = Next::Result;
            }
        })
    }),
    Specimen::executor("ftp-redirect-as-http", "HTTP-25", "A redirect to an ftp server is followed with HTTP.", || {
        hops(|hop| {
            if let Some(rest) = hop.location.as_deref().and_then(|location| location.strip_prefix("ftp:")) {
                hop.location = Some(format!("http:{rest}"));
                hop.next = hop.follow();
            }
        })
    }),
    Specimen::executor(
        "cookie-crosses-origins",
        "HTTP-26",
        "A cookie of the caller follows a redirect to another origin.",
        || hops(|hop| carry(hop, |name| name == "cookie")),
    ),
    Specimen::executor(
        "proxy-authorization-crosses-origins",
        "HTTP-26",
        "The caller's proxy-authorization follows a redirect to another origin.",
        || hops(|hop| carry(hop, |name| name == "proxy-authorization")),
    ),
    Specimen::executor("port-is-no-origin", "HTTP-26", "Another port is taken for the same origin.", || {
        hops(|hop| carry(hop, |_| true))
    }),
    Specimen::executor(
        "user-information-crosses-origins",
        "HTTP-26",
        "User information of the URL goes to any origin.",
        || {
            hops(|hop| {
                hop.change(|last, next| {
                    let urls = [last, next].map(|call| Url::parse(call["url"].as_str().unwrap_or_default()));
                    if let [Ok(last), Ok(mut to)] = urls {
                        // Neither fails: an http URL has a host.
                        let _ = (to.set_username(last.username()), to.set_password(last.password()));
                        next["url"] = json!(to.as_str());
                    }
                });
            })
        },
    ),
    Specimen::executor(
        "api-key-crosses-origins",
        "HTTP-27",
        "Headers that are not known as secrets go to any origin.",
        || hops(|hop| carry(hop, |name| !matches!(name, "authorization" | "cookie" | "proxy-authorization"))),
    ),
    Specimen::executor(
        "headers-come-back",
        "HTTP-27",
        "Headers that were dropped come back with the first origin.",
        || {
            hops(|hop| {
                let first = hop.first.clone();
                hop.change(|_, next| {
                    if let Some(headers) = first.get("headers")
                        && origin(&first) == origin(next)
                    {
                        next["headers"] = headers.clone();
                    }
                });
            })
        },
    ),
    Specimen::executor("redirect-drops-secrets", "HTTP-28", "No redirect carries authorization or cookies.", || {
        hops(|hop| hop.change(|_, next| drop_headers(next, &["authorization", "cookie"])))
    }),
    Specimen::executor(
        "redirect-drops-own-headers",
        "HTTP-28",
        "Within an origin, too, only common headers are kept.",
        || {
            hops(|hop| {
                hop.change(|_, next| {
                    if let Some(headers) = headers(next) {
                        headers.retain(|entry| !name(entry).starts_with("x-"));
                    }
                });
            })
        },
    ),
    Specimen::executor(
        "referer-with-the-query",
        "HTTP-29",
        "A followed redirect has the earlier URL in `referer`.",
        || hops(|hop| hop.change(|last, next| add_header(next, "referer", last["url"].as_str().unwrap_or_default()))),
    ),
    Specimen::executor(
        "referer-without-the-query",
        "HTTP-29",
        "A followed redirect has the earlier path in `referer`.",
        || {
            hops(|hop| {
                hop.change(|last, next| {
                    let url = last["url"].as_str().and_then(|url| url.split('?').next());
                    add_header(next, "referer", url.unwrap_or_default());
                });
            })
        },
    ),
];

fn up_to_twenty(hop: &mut Hop) {
    if (10..20).contains(&hop.followed) && matches!(hop.next, Next::Failure) {
        hop.next = hop.follow();
    }
}

/// Leaves members as they were in the request that was answered.
fn keep(hop: &mut Hop, members: &[&str]) {
    hop.change(|last, next| {
        for (member, value) in members.iter().filter_map(|member| Some((member, last.get(member)?))) {
            next[member] = value.clone();
        }
    });
}

/// Carries headers over to another origin.
pub(super) fn carry(hop: &mut Hop, is_carried: impl Fn(&str) -> bool) {
    if !is_abroad(hop) {
        return;
    }
    hop.change(|last, next| {
        let (Some(all), Some(kept)) = (last["headers"].as_array(), next["headers"].as_array()) else { return };
        let carried = all.iter().filter(|entry| is_carried(&name(entry)) || kept.contains(entry)).cloned().collect();
        next["headers"] = carried;
    });
}

fn is_abroad(hop: &Hop) -> bool {
    matches!(&hop.next, Next::Request(next) if origin(next) != origin(&hop.last))
}

fn origin(call: &Value) -> Option<url::Origin> {
    Url::parse(call["url"].as_str()?).ok().map(|url| url.origin())
}
