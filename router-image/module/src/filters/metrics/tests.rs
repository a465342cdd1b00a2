use super::*;
use crate::filters::headers::{CHOSEN, TYPE};
use crate::filters::request_state::{add_unsent, set_count, set_refused};
use crate::stream::fake::{FakeDefinitions, FakeStream};
use std::collections::BTreeMap;
use std::time::Duration;
use HeaderMap::Request;

/// What each of the metrics has counted at the end of a request.
struct Counted(FakeStream, FakeDefinitions);

impl Counted {
    fn of(stream: FakeStream, record: &RequestRecord) -> Self {
        let mut definitions = FakeDefinitions::default();
        Metrics::define(&mut definitions).record(&stream, record);
        Counted(stream, definitions)
    }

    fn of_metric(&self, name: &str) -> BTreeMap<String, u64> {
        self.0.counted(&self.1, name)
    }

    fn expect(&self, name: &str, expected: &[(&str, u64)]) {
        let expected = expected.iter().map(|(labels, sum)| ((*labels).to_owned(), *sum));
        assert_eq!(self.of_metric(name), expected.collect(), "{name}");
    }
}

/// A request for the tier `mini`, answered with this code after so many attempts, the last by an engine of this tier.
fn ended(code: u64, attempts: u64, tier: &str) -> FakeStream {
    let mut stream = FakeStream::at(5000).with_headers(Request, &[(CHOSEN, "mini"), (TYPE, "application/json")]);
    stream.attributes.insert(Attribute::ResponseCode, code);
    stream.attributes.insert(Attribute::Attempts, attempts);
    stream.set_metadata(MetadataSource::Host, METADATA, "tier", tier);
    stream.set_metadata(MetadataSource::Cluster, METADATA, "diverted", "false");
    stream
}

/// It came 1200 ms ago, and its answer began 900 ms ago.
fn record_of(stream: &FakeStream) -> RequestRecord {
    RequestRecord {
        decision: "model",
        tier: "mini".to_owned(),
        start: Some(stream.instant() - Duration::from_millis(1200)),
        answer: Some(stream.instant() - Duration::from_millis(900)),
        ..RequestRecord::default()
    }
}

/// The labels of `requests_total` with these values.
fn labelled(values: &str) -> String {
    let names = [
        "heterollm_tier",
        "decision",
        "wanted_tier",
        "code",
        "attempts",
        "diverted",
        "low_quality",
    ];
    let pairs: Vec<String> = names
        .iter()
        .zip(values.split(','))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

fn low_quality(stream: &mut FakeStream, attempt: u32, tier: &str) {
    let fault = "empty";
    LowQualityAnswer { attempt, fault, tier }.add(stream);
}

#[test]
fn a_request_is_counted_once_with_what_became_of_it() {
    type Change = fn(&mut FakeStream);
    let none: Change = |_| {};
    let cases: [(u64, u64, &str, Change, &str); 8] = [
        (200, 1, "mini", none, "mini,model,mini,200,1,false,false"),
        (503, 3, "maxi", none, "maxi,model,mini,503,3,false,false"),
        // Attempts that were not sent are none.
        (
            200,
            3,
            "mini",
            |stream| add_unsent(stream),
            "mini,model,mini,200,2,false,false",
        ),
        // No engine has answered one that is not sent again.
        (
            502,
            3,
            "maxi",
            |stream| set_refused(stream),
            "mini,model,mini,502,2,false,false",
        ),
        (
            200,
            2,
            "mini",
            |stream| low_quality(stream, 1, "mini"),
            "mini,model,mini,200,2,false,true",
        ),
        (
            200,
            3,
            "maxi",
            |stream| low_quality(stream, 2, "mini"),
            "maxi,model,mini,200,3,false,true",
        ),
        // Of another tier than was wanted: the wanted one may have failed.
        (
            200,
            4,
            "maxi",
            |stream| low_quality(stream, 3, "maxi"),
            "maxi,model,mini,200,4,false,false",
        ),
        (
            200,
            1,
            "maxi",
            |stream| stream.set_metadata(MetadataSource::Cluster, METADATA, "diverted", "true"),
            "maxi,model,mini,200,1,true,false",
        ),
    ];
    for (code, attempts, tier, change, labels) in cases {
        let mut stream = ended(code, attempts, tier);
        change(&mut stream);
        let record = record_of(&stream);
        Counted::of(stream, &record).expect("requests_total", &[(&labelled(labels), 1)]);
    }
}

#[test]
fn a_refused_request_is_counted_without_a_tier() {
    let mut stream = FakeStream::at(5000);
    stream.attributes.insert(Attribute::ResponseCode, 404);
    let counted = Counted::of(stream, &RequestRecord::default());
    let labels = ",,,404,0,,false";
    counted.expect("requests_total", &[(&labelled(labels), 1)]);
    for other in [
        "request_milliseconds",
        "client_requests_total",
        "tokens_total",
        "score_permille",
    ] {
        counted.expect(other, &[]);
    }
}

#[test]
fn durations_are_of_answers_alone() {
    for (code, is_answer) in [(199, false), (200, true), (399, true), (400, false), (503, false)] {
        let mut stream = ended(code, 2, "maxi");
        low_quality(&mut stream, 1, "maxi");
        let record = record_of(&stream);
        let counted = Counted::of(stream, &record);
        let whole: &[(&str, u64)] = &[("heterollm_tier=maxi decision=model", 1200)];
        let first: &[(&str, u64)] = &[("heterollm_tier=maxi decision=model low_quality=true", 300)];
        counted.expect("request_milliseconds", if is_answer { whole } else { &[] });
        counted.expect("first_byte_milliseconds", if is_answer { first } else { &[] });
    }
    let stream = ended(200, 1, "mini");
    let record = record_of(&stream);
    let counted = Counted::of(stream, &record);
    counted.expect(
        "first_byte_milliseconds",
        &[("heterollm_tier=mini decision=model low_quality=false", 300)],
    );
    // One that has not begun took no time.
    let stream = ended(200, 1, "mini");
    let record = RequestRecord {
        answer: None,
        ..record_of(&stream)
    };
    Counted::of(stream, &record).expect("request_milliseconds", &[]);
}

#[test]
fn clients_scores_and_tokens_are_counted_where_they_are_known() {
    let mut stream = ended(429, 1, "mini").with_headers(Request, &[(CLIENT, "shop")]);
    low_quality(&mut stream, 1, "mini");
    low_quality(&mut stream, 2, "mini");
    low_quality(&mut stream, 3, "maxi");
    let record = RequestRecord {
        score: Some(0.1236),
        tokens: Some(Tokens {
            prompt: 11,
            completion: 3,
        }),
        ..record_of(&stream)
    };
    let counted = Counted::of(stream, &record);
    counted.expect("client_requests_total", &[("client=shop code=429", 1)]);
    counted.expect("score_permille", &[("", 124)]);
    let tokens = [
        ("heterollm_tier=mini kind=prompt", 11),
        ("heterollm_tier=mini kind=completion", 3),
    ];
    counted.expect("tokens_total", &tokens);
    let answers = [
        ("heterollm_tier=mini reason=empty", 2),
        ("heterollm_tier=maxi reason=empty", 1),
    ];
    counted.expect("bad_answers_total", &answers);
}

#[test]
fn an_answer_that_is_put_back_is_its_tiers() {
    let stream = ended(200, 3, "maxi");
    let record = RequestRecord {
        put_back: Some("mini".to_owned()),
        tokens: Some(Tokens {
            prompt: 1,
            completion: 0,
        }),
        ..record_of(&stream)
    };
    let counted = Counted::of(stream, &record);
    let labels = "mini,model,mini,200,3,false,false";
    counted.expect("requests_total", &[(&labelled(labels), 1)]);
    assert_eq!(counted.of_metric("tokens_total")["heterollm_tier=mini kind=prompt"], 1);
}

#[test]
fn faulty_requests_are_those_of_the_wanted_tier() {
    for (diverted, expected) in [("false", &[("heterollm_tier=mini", 4)][..]), ("true", &[])] {
        let mut stream = ended(200, 1, "mini");
        stream.set_metadata(MetadataSource::Cluster, METADATA, "diverted", diverted);
        set_count(&mut stream, FAULTY, 4);
        let record = record_of(&stream);
        Counted::of(stream, &record).expect("faulty_requests_total", expected);
    }
}

/// What is counted of the side of a request, and nothing else of it.
fn side_of(stream: FakeStream, record: RequestRecord) -> Vec<String> {
    let counted = Counted::of(stream, &record).of_metric("side_total");
    assert!(counted.values().all(|count| *count == 1));
    let values = |labels: &str| {
        labels
            .split(' ')
            .map(|pair| pair.split('=').nth(1).unwrap().to_owned())
            .collect()
    };
    counted
        .keys()
        .map(|labels| values(labels))
        .map(|values: Vec<String>| values.join(","))
        .collect()
}

fn streamed(stream: &FakeStream) -> RequestRecord {
    RequestRecord {
        streamed: true,
        slow_after: Some(Duration::from_millis(300)),
        ..record_of(stream)
    }
}

#[test]
fn a_request_counts_for_the_side_that_was_to_answer_it() {
    let cases: [(u64, &str, &str, &[&str]); 11] = [
        (200, "mini", "false", &["mini,false,ok"]),
        (200, "maxi", "true", &["mini,true,ok"]),
        // Another tier had to answer, or nobody did.
        (200, "maxi", "false", &["mini,false,failed"]),
        (200, "mini", "true", &["mini,true,failed"]),
        (503, "mini", "false", &["mini,false,failed"]),
        (504, "maxi", "true", &["mini,true,failed"]),
        // Nobody's failure: full, the client's mistake, given up, nowhere to go.
        (429, "mini", "false", &[]),
        (400, "mini", "false", &[]),
        (0, "mini", "false", &[]),
        (501, "mini", "false", &[]),
        (503, "mini", "", &[]),
    ];
    for (code, tier, diverted, expected) in cases {
        let mut stream = ended(code, 1, tier);
        stream.set_metadata(MetadataSource::Cluster, METADATA, "diverted", diverted);
        let record = streamed(&stream);
        assert_eq!(
            side_of(stream, record),
            expected,
            "{code} of {tier}, diverted: {diverted}"
        );
    }
}

#[test]
fn the_first_byte_of_a_stream_is_in_time_or_not() {
    // It came after 300 ms.
    for (limit, expected) in [(299, "slow"), (300, "ok"), (10_000, "ok")] {
        let stream = ended(200, 1, "mini");
        let slow_after = Some(Duration::from_millis(limit));
        let record = RequestRecord {
            slow_after,
            ..streamed(&stream)
        };
        assert_eq!(side_of(stream, record), [format!("mini,false,{expected}")]);
    }
    let stream = ended(200, 1, "mini");
    let record = RequestRecord {
        streamed: false,
        ..streamed(&stream)
    };
    assert_eq!(
        side_of(stream, record),
        ["mini,false,whole"],
        "nobody knows when it began"
    );
}

#[test]
fn a_better_answer_of_another_tier_is_no_failure_of_a_side() {
    let mut stream = ended(200, 3, "maxi");
    low_quality(&mut stream, 2, "mini");
    let record = streamed(&stream);
    assert_eq!(side_of(stream, record), ["mini,false,ok"]);
}

#[test]
fn sides_are_not_counted_where_nothing_migrates() {
    let stream = ended(200, 1, "mini");
    let record = RequestRecord {
        slow_after: None,
        ..streamed(&stream)
    };
    assert!(side_of(stream, record).is_empty());
}
