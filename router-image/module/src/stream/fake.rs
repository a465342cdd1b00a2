//! Envoy in memory, for tests: what a filter asks for is set, and what it does is seen.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::{Attribute, Counter, HeaderMap, Histogram, MetadataSource, MetricDefinitions, Stream};

/// A request and its answer, or an attempt of it.
pub struct FakeStream {
    headers: HashMap<HeaderMap, BTreeMap<String, Vec<u8>>>,
    pub request_body: Vec<u8>,
    pub response_body: Vec<u8>,
    metadata: HashMap<(MetadataSource, String, String), Vec<u8>>,
    pub notes: BTreeMap<String, Vec<u8>>,
    pub numbers: BTreeMap<String, f64>,
    state: HashMap<String, Vec<u8>>,
    pub attributes: HashMap<Attribute, u64>,
    /// Milliseconds since 1970.
    pub now: u64,
    began: (Instant, u64),
    /// What Envoy was told to do.
    pub buffer_limit: Option<u64>,
    pub response: Option<(u32, String)>,
    pub sent: Vec<u8>,
    pub route_cleared: bool,
    pub continued: bool,
    pub pauses: Vec<Duration>,
    counted: RefCell<Vec<(usize, Vec<String>, u64)>>,
}

impl FakeStream {
    pub fn at(now: u64) -> Self {
        FakeStream {
            headers: HashMap::new(),
            request_body: Vec::new(),
            response_body: Vec::new(),
            metadata: HashMap::new(),
            notes: BTreeMap::new(),
            numbers: BTreeMap::new(),
            state: HashMap::new(),
            attributes: HashMap::new(),
            now,
            began: (Instant::now(), now),
            buffer_limit: None,
            response: None,
            sent: Vec::new(),
            route_cleared: false,
            continued: false,
            pauses: Vec::new(),
            counted: RefCell::default(),
        }
    }

    pub fn with_headers(mut self, map: HeaderMap, headers: &[(&str, &str)]) -> Self {
        for (name, value) in headers {
            self.set_header(map, name, value.as_bytes());
        }
        self
    }

    pub fn set_metadata(&mut self, source: MetadataSource, namespace: &str, key: &str, value: &str) {
        let place = (source, namespace.to_owned(), key.to_owned());
        self.metadata.insert(place, value.as_bytes().to_vec());
    }

    /// Nothing is said of it any more.
    pub fn remove_metadata(&mut self, source: MetadataSource, namespace: &str) {
        self.metadata
            .retain(|(from, of, _), _| *from != source || of != namespace);
    }

    /// A header's text; empty where there is none.
    pub fn text(&self, map: HeaderMap, name: &str) -> String {
        text(self.header(map, name).unwrap_or_default())
    }

    /// Another attempt of the same request: what filters have left for each other is there, its answer is not.
    pub fn next_attempt(&mut self) {
        self.headers.remove(&HeaderMap::Response);
        self.response_body.clear();
    }

    /// What was counted or recorded in this metric: its labels, and the sum for each.
    pub fn counted(&self, metrics: &FakeDefinitions, name: &str) -> BTreeMap<String, u64> {
        let (id, labels) = metrics.find(name);
        let mut sums = BTreeMap::new();
        for (_, values, by) in self.counted.borrow().iter().filter(|(metric, ..)| *metric == id) {
            assert_eq!(values.len(), labels.len(), "{name} has other labels");
            let named: Vec<String> = labels.iter().zip(values).map(|(k, v)| format!("{k}={v}")).collect();
            *sums.entry(named.join(" ")).or_insert(0) += by;
        }
        sums
    }
}

impl Stream for FakeStream {
    fn header(&self, map: HeaderMap, name: &str) -> Option<&[u8]> {
        self.headers.get(&map)?.get(name).map(Vec::as_slice)
    }

    fn set_header(&mut self, map: HeaderMap, name: &str, value: &[u8]) {
        self.headers
            .entry(map)
            .or_default()
            .insert(name.to_owned(), value.to_vec());
    }

    fn remove_header(&mut self, map: HeaderMap, name: &str) {
        self.headers.entry(map).or_default().remove(name);
    }

    fn header_names(&self, map: HeaderMap, prefix: &str) -> Vec<String> {
        let names = self.headers.get(&map).into_iter().flat_map(BTreeMap::keys);
        names.filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    fn request_body(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.request_body)
    }

    fn received_request_body(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.request_body)
    }

    fn replace_received_request_body(&mut self, body: &[u8]) {
        self.request_body = body.to_vec();
    }

    fn response_body(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.response_body)
    }

    fn received_response_end(&self, _: usize) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.response_body)
    }

    fn replace_response_body(&mut self, body: &[u8]) {
        self.response_body = body.to_vec();
    }

    fn add_response_body(&mut self, body: &[u8]) {
        assert!(self.response_body.is_empty());
        self.response_body = body.to_vec();
    }

    fn set_buffer_limit(&mut self, bytes: u64) {
        self.buffer_limit = Some(bytes);
    }

    fn send_response(&mut self, status: u32, text: &str) {
        assert_eq!(self.response, None, "a request is answered once");
        self.response = Some((status, text.to_owned()));
    }

    fn send_response_data(&mut self, data: &[u8]) {
        self.sent.extend_from_slice(data);
    }

    fn metadata(&self, source: MetadataSource, namespace: &str, key: &str) -> Option<&[u8]> {
        let place = (source, namespace.to_owned(), key.to_owned());
        self.metadata.get(&place).map(Vec::as_slice)
    }

    fn dynamic_metadata(&self, key: &str) -> Option<&[u8]> {
        self.notes.get(key).map(Vec::as_slice)
    }

    fn set_dynamic_metadata(&mut self, key: &str, value: &[u8]) {
        self.notes.insert(key.to_owned(), value.to_vec());
    }

    fn dynamic_metadata_number(&self, key: &str) -> Option<f64> {
        self.numbers.get(key).copied()
    }

    fn set_dynamic_metadata_number(&mut self, key: &str, value: f64) {
        self.numbers.insert(key.to_owned(), value);
    }

    fn filter_state(&self, key: &str) -> Option<&[u8]> {
        self.state.get(key).map(Vec::as_slice)
    }

    fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        assert!(
            self.state.insert(key.to_owned(), value.to_vec()).is_none(),
            "Envoy refuses that"
        );
    }

    fn attribute(&self, attribute: Attribute) -> Option<u64> {
        self.attributes.get(&attribute).copied()
    }

    fn clear_route_cache(&mut self) {
        self.route_cleared = true;
    }

    fn continue_decoding(&mut self) {
        self.continued = true;
    }

    fn wake_after(&mut self, pause: Duration) {
        self.pauses.push(pause);
    }

    fn increment_counter<const N: usize>(&self, counter: Counter, labels: &[&[u8]; N], by: u64) {
        let values = labels.map(text).to_vec();
        self.counted.borrow_mut().push((counter.0, values, by));
    }

    fn record_histogram<const N: usize>(&self, histogram: Histogram, labels: &[&[u8]; N], value: u64) {
        self.increment_counter(Counter(histogram.0), labels, value);
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn instant(&self) -> Instant {
        let (began, then) = self.began;
        began + Duration::from_millis(self.now - then)
    }
}

/// The metrics that were defined, in this order.
#[derive(Default)]
pub struct FakeDefinitions(Vec<(String, Vec<String>)>);

impl FakeDefinitions {
    fn find(&self, name: &str) -> (usize, &[String]) {
        let place = self.0.iter().position(|(defined, _)| defined == name);
        let place = place.unwrap_or_else(|| panic!("no metric {name}"));
        (place, &self.0[place].1)
    }

    fn define(&mut self, name: &str, labels: &[&str]) -> usize {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.push((name.to_owned(), labels));
        self.0.len() - 1
    }
}

impl MetricDefinitions for FakeDefinitions {
    fn counter(&mut self, name: &str, labels: &[&str]) -> Counter {
        Counter(self.define(name, labels))
    }

    fn histogram(&mut self, name: &str, labels: &[&str]) -> Histogram {
        Histogram(self.define(name, labels))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
