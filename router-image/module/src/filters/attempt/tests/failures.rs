//! Which failures are tried again, and whose fault they are.

use super::*;

#[test]
fn failures_are_retried_while_the_budget_lasts() {
    let cluster = Cluster::new(config());
    // Good answers between, so that the tier is not taken to be down.
    let mut retried = 0;
    for number in 0..150 {
        let mut stream = cluster.request(&format!("burst-{number}"));
        if cluster.attempt(&mut stream, 1, "mini-burst", "502", "") {
            cluster.send(&mut stream, 2, "mini-other");
            retried += 1;
        }
    }
    assert_eq!(retried, 100);
    let mut stream = cluster.request("burst-good");
    cluster.attempt(&mut stream, 1, "mini-burst", "200", GOOD);
    cluster.attempt(&mut stream, 1, "mini-burst", "200", GOOD);
    let mut stream = cluster.request("burst-after");
    assert!(
        cluster.attempt(&mut stream, 1, "mini-burst", "502", ""),
        "two good answers earn one"
    );
}

#[test]
fn what_two_engines_fail_is_sent_to_no_third_of_their_tier() {
    // The tiers of the attempts, and after which attempts another follows.
    let cases: [(&str, &[&str], &[bool]); 4] = [
        ("mini mini mini", &["mini-a", "mini-b"], &[true, false]),
        (
            "mini mini maxi maxi",
            &["mini-a", "mini-b", "maxi-c"],
            &[true, true, false],
        ),
        ("mini mini mini", &["mini-a", "mini-a", "mini-b"], &[true, true, false]),
        ("mini mini", &["mini-a", "mini-b"], &[true, false]),
    ];
    for (number, (order, engines, follows)) in cases.into_iter().enumerate() {
        let mut cluster = Cluster::new(config());
        cluster.order = order;
        let mut stream = cluster.request("two");
        for (attempt, (engine, follows)) in (1..).zip(engines.iter().zip(follows)) {
            let engine = format!("{engine}{number}");
            let again = cluster.attempt(&mut stream, attempt, &engine, "500", "");
            assert_eq!(again, *follows, "{order} {engine}");
            // Clients of OpenAI would send it twice more.
            assert_eq!(
                stream.text(Response, SHOULD_RETRY) == "false",
                !follows,
                "{order} {engine}"
            );
        }
    }
}

#[test]
fn an_engine_that_fails_what_another_answers_is_broken() {
    let cluster = Cluster::new(config());
    for number in 1..=6 {
        let mut stream = cluster.request("broken");
        cluster.attempt(&mut stream, 1, "mini-broken", "500", "");
        assert_eq!(stream.text(Response, BROKEN) == "true", number == 6, "{number}");
        cluster.attempt(&mut stream, 2, "mini-whole", "200", GOOD);
        assert_eq!(stream.header(Response, BROKEN), None);
    }
    // Until it answers something.
    let mut stream = cluster.request("broken-no-more");
    cluster.attempt(&mut stream, 1, "mini-broken", "200", GOOD);
    cluster.attempt(&mut stream, 1, "mini-broken", "500", "");
    assert_eq!(stream.header(Response, BROKEN), None);
}

#[test]
fn an_engine_whose_failures_others_share_or_refuse_is_not_broken() {
    for status in ["500", "400"] {
        let cluster = Cluster::new(config());
        for number in 0..10 {
            let mut stream = cluster.request("shared");
            stream.now += 5000 * number;
            cluster.attempt(&mut stream, 1, "mini-blamed", "500", "");
            assert_eq!(stream.header(Response, BROKEN), None, "{status} {number}");
            cluster.attempt(&mut stream, 2, "mini-second", status, "");
            assert_eq!(stream.header(Response, BROKEN), None, "{status} {number}");
        }
    }
}

#[test]
fn a_tier_that_answers_others_has_failed_nothing() {
    let cluster = Cluster::new(config());
    for number in 0..3 {
        let mut stream = cluster.request("faulty");
        cluster.attempt(&mut stream, 1, &format!("mini-faulty{number}"), "500", "");
        cluster.attempt(&mut stream, 2, &format!("mini-faulty{}", number + 1), "500", "");
    }
    let mut good = cluster.request("faultless");
    cluster.attempt(&mut good, 1, "mini-faultless", "200", GOOD);
    assert_eq!(good.numbers["faulty"], 3.0);
    let mut next = cluster.request("faultless-too");
    cluster.attempt(&mut next, 1, "mini-faultless", "200", GOOD);
    assert!(!next.numbers.contains_key("faulty"), "they are counted once");
}

#[test]
fn a_tier_that_answers_nothing_sends_on_what_it_has_no_budget_for() {
    let cluster = Cluster::new(config());
    for number in 0..120 {
        let mut stream = cluster.request("down");
        cluster.attempt(&mut stream, 1, &format!("mini-down{}", number % 7), "500", "");
        cluster.attempt(&mut stream, 2, &format!("mini-down{}", number % 7 + 1), "500", "");
    }
    let mut stream = cluster.request("down-last");
    assert!(
        cluster.attempt(&mut stream, 1, "mini-down1", "500", ""),
        "another tier follows"
    );
    let mut alone = Cluster::new(config());
    alone.order = "mini mini mini";
    alone.tier = cluster.tier.clone();
    let mut stream = alone.request("down-alone");
    assert!(!alone.attempt(&mut stream, 1, "mini-down1", "500", ""), "none follows");
}

#[test]
fn only_what_an_engine_says_of_itself_is_a_failure() {
    let failures = [500, 502, 503, 504];
    for status in (400..=404).chain([422, 429]).chain(499..=506) {
        let cluster = Cluster::new(config());
        let mut stream = cluster.request("said");
        cluster.attempt(&mut stream, 1, "mini-said", &status.to_string(), "");
        assert_eq!(
            stream.notes.contains_key("failed"),
            failures.contains(&status),
            "{status}"
        );
    }
}

#[test]
fn the_last_failure_of_a_request_says_nothing_of_its_engine() {
    let cluster = Cluster::new(config());
    for number in 0..10 {
        let mut stream = cluster.request("last");
        // There is no time for another engine to do better.
        stream.now += 100_000 + 5000 * number;
        assert!(!cluster.attempt(&mut stream, 1, "mini-last", "500", ""));
        assert_eq!(stream.header(Response, BROKEN), None, "{number}");
    }
}

#[test]
fn two_engines_of_the_wanted_tier_make_a_request_faulty() {
    // The tiers of the attempts, and the engines that fail or are lost.
    let cases: [(&str, &[&str], bool); 6] = [
        ("mini mini maxi", &["mini-a", "mini-b"], true),
        ("mini mini maxi", &["mini-a", "maxi-c"], false),
        ("mini mini maxi", &["mini-a", "lost"], true),
        ("mini mini maxi", &["lost", "lost"], true),
        // One engine twice says nothing of the request, unless its tier is given up for that.
        ("mini mini mini", &["mini-a", "mini-a"], false),
        ("mini mini maxi", &["mini-a", "mini-a"], true),
    ];
    for (number, (order, engines, is_faulty)) in cases.into_iter().enumerate() {
        let mut cluster = Cluster::new(config());
        cluster.order = order;
        let id = format!("against-{number}");
        let mut stream = cluster.request(&id);
        for (attempt, engine) in (1..).zip(engines) {
            if *engine == "lost" {
                let (filter, status) = cluster.send(&mut stream, attempt, "mini-against");
                if status == Status::StopIteration {
                    filter.on_scheduled(&mut stream);
                }
                lost_connections::add(id.as_bytes());
            } else {
                cluster.attempt(&mut stream, attempt, &format!("{engine}{id}"), "500", "");
            }
        }
        cluster.send(&mut stream, 3, "maxi-against");
        let mut good = cluster.request("against-none");
        cluster.attempt(&mut good, 1, "mini-against", "200", GOOD);
        assert_eq!(good.numbers.contains_key("faulty"), is_faulty, "{order} {engines:?}");
    }
}

#[test]
fn where_engines_of_a_tier_disagree_no_request_is_faulty() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("disagree");
    cluster.attempt(&mut stream, 1, "mini-disagree", "500", "");
    cluster.attempt(&mut stream, 2, "mini-differ", "500", "");
    let mut stream = cluster.request("agree");
    cluster.attempt(&mut stream, 1, "mini-disagree", "500", "");
    cluster.attempt(&mut stream, 2, "mini-differ", "200", GOOD);
    let mut stream = cluster.request("neither");
    cluster.attempt(&mut stream, 1, "mini-differ", "200", GOOD);
    assert!(!stream.numbers.contains_key("faulty"));
}

#[test]
fn what_faulty_requests_took_of_the_budget_is_given_back() {
    let mut cluster = Cluster::new(config());
    cluster.order = "mini mini mini";
    let is_retried = |request: &str| {
        let mut stream = cluster.request(request);
        cluster.attempt(&mut stream, 1, "mini-give", "500", "")
    };
    for _ in 0..100 {
        let mut stream = cluster.request("take");
        cluster.attempt(&mut stream, 1, "mini-give", "500", "");
        cluster.attempt(&mut stream, 2, "mini-take", "500", "");
    }
    assert!(!is_retried("give"));
    let mut stream = cluster.request("back");
    cluster.attempt(&mut stream, 1, "mini-back", "200", GOOD);
    assert!(is_retried("give"));
}
