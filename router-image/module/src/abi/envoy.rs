//! Envoy's C interface for dynamic modules, as far as it is used here: the only unsafe code.
//!
//! What Envoy hands out (headers, bodies) is valid until the hook that asked for it returns or changes it, so nothing
//! borrowed here may be kept in a filter.

use std::borrow::Cow;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::{ptr, slice};

/// Some bytes of either side.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffer {
    start: *const u8,
    length: usize,
}

impl Buffer {
    fn of(bytes: &[u8]) -> Self {
        Buffer {
            start: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    const NONE: Buffer = Buffer {
        start: ptr::null(),
        length: 0,
    };

    /// # Safety
    /// The bytes must be there for as long as the result is used.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.start.is_null() {
            return &[];
        }
        slice::from_raw_parts(self.start, self.length)
    }
}

#[repr(C)]
struct Header {
    key: Buffer,
    value: Buffer,
}

type Stream_ = *mut c_void;
type Config_ = *mut c_void;
type Define = unsafe extern "C" fn(Config_, Buffer, *const Buffer, usize, *mut usize) -> u32;

macro_rules! callbacks {
    ($($name:ident => $symbol:literal ($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        extern "C" { $( #[link_name = $symbol] fn $name($($arg: $kind),*) $(-> $out)?; )* }
    };
}

callbacks! {
    get_header => "envoy_dynamic_module_callback_http_get_header"
        (stream: Stream_, map: u32, key: Buffer, value: *mut Buffer, index: usize, count: *mut usize) -> bool;
    set_header => "envoy_dynamic_module_callback_http_set_header"
        (stream: Stream_, map: u32, key: Buffer, value: Buffer) -> bool;
    headers_size => "envoy_dynamic_module_callback_http_get_headers_size" (stream: Stream_, map: u32) -> usize;
    get_headers => "envoy_dynamic_module_callback_http_get_headers"
        (stream: Stream_, map: u32, headers: *mut Header) -> bool;
    body_chunks_size => "envoy_dynamic_module_callback_http_get_body_chunks_size" (stream: Stream_, kind: u32) -> usize;
    body_chunks => "envoy_dynamic_module_callback_http_get_body_chunks"
        (stream: Stream_, kind: u32, chunks: *mut Buffer) -> bool;
    body_size => "envoy_dynamic_module_callback_http_get_body_size" (stream: Stream_, kind: u32) -> usize;
    append_body => "envoy_dynamic_module_callback_http_append_body" (stream: Stream_, kind: u32, data: Buffer) -> bool;
    drain_body => "envoy_dynamic_module_callback_http_drain_body" (stream: Stream_, kind: u32, bytes: usize) -> bool;
    send_response => "envoy_dynamic_module_callback_http_send_response"
        (stream: Stream_, status: u32, headers: *const Header, count: usize, body: Buffer, details: Buffer);
    received_buffered_request => "envoy_dynamic_module_callback_http_received_buffered_request_body"
        (stream: Stream_) -> bool;
    received_buffered_response => "envoy_dynamic_module_callback_http_received_buffered_response_body"
        (stream: Stream_) -> bool;
    send_response_data => "envoy_dynamic_module_callback_http_send_response_data"
        (stream: Stream_, data: Buffer, end: bool);
    set_string => "envoy_dynamic_module_callback_http_set_dynamic_metadata_string"
        (stream: Stream_, space: Buffer, key: Buffer, value: Buffer);
    set_number => "envoy_dynamic_module_callback_http_set_dynamic_metadata_number"
        (stream: Stream_, space: Buffer, key: Buffer, value: f64);
    get_number => "envoy_dynamic_module_callback_http_get_metadata_number"
        (stream: Stream_, source: u32, space: Buffer, key: Buffer, value: *mut f64) -> bool;
    set_state => "envoy_dynamic_module_callback_http_set_filter_state_bytes"
        (stream: Stream_, key: Buffer, value: Buffer) -> bool;
    get_state => "envoy_dynamic_module_callback_http_get_filter_state_bytes"
        (stream: Stream_, key: Buffer, value: *mut Buffer) -> bool;
    set_buffer_limit => "envoy_dynamic_module_callback_http_set_buffer_limit" (stream: Stream_, bytes: u64);
    clear_route_cache => "envoy_dynamic_module_callback_http_clear_route_cache" (stream: Stream_);
    get_string => "envoy_dynamic_module_callback_http_get_metadata_string"
        (stream: Stream_, source: u32, space: Buffer, key: Buffer, value: *mut Buffer) -> bool;
    get_attribute_int => "envoy_dynamic_module_callback_http_filter_get_attribute_int"
        (stream: Stream_, attribute: u32, value: *mut u64) -> bool;
    define_counter => "envoy_dynamic_module_callback_http_filter_config_define_counter"
        (config: Config_, name: Buffer, labels: *const Buffer, count: usize, id: *mut usize) -> u32;
    define_histogram => "envoy_dynamic_module_callback_http_filter_config_define_histogram"
        (config: Config_, name: Buffer, labels: *const Buffer, count: usize, id: *mut usize) -> u32;
    increment_counter => "envoy_dynamic_module_callback_http_filter_increment_counter"
        (stream: Stream_, id: usize, values: *const Buffer, count: usize, by: u64) -> u32;
    record_histogram => "envoy_dynamic_module_callback_http_filter_record_histogram_value"
        (stream: Stream_, id: usize, values: *const Buffer, count: usize, value: u64) -> u32;
    logged_header => "envoy_dynamic_module_callback_access_logger_get_header_value"
        (log: *mut c_void, map: u32, key: Buffer, value: *mut Buffer, index: usize, count: *mut usize) -> bool;
    continue_decoding => "envoy_dynamic_module_callback_http_filter_continue_decoding" (stream: Stream_);
    scheduler_new => "envoy_dynamic_module_callback_http_filter_scheduler_new" (stream: Stream_) -> *mut c_void;
    scheduler_commit => "envoy_dynamic_module_callback_http_filter_scheduler_commit" (scheduler: *mut c_void, event: u64);
    scheduler_delete => "envoy_dynamic_module_callback_http_filter_scheduler_delete" (scheduler: *mut c_void);
    route_config => "envoy_dynamic_module_callback_get_most_specific_route_config" (stream: Stream_) -> *const c_void;
    log => "envoy_dynamic_module_callback_log" (level: u32, message: Buffer);
}

/// Which headers.
#[derive(Clone, Copy)]
pub enum Map {
    Request = 0,
    Response = 2,
}

/// Which part of a body: what has just come, or what came before and was kept.
#[derive(Clone, Copy)]
pub enum Body {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// Numbers that Envoy knows of a request.
#[derive(Clone, Copy)]
pub enum Attribute {
    ResponseCode = 15,
    Attempts = 53,
}

/// Where the policy says something of what serves a request.
#[derive(Clone, Copy)]
pub enum Metadata {
    Cluster = 2,
    Engine = 3,
}

/// A counter or a histogram.
#[derive(Clone, Copy)]
pub struct Metric(usize);

/// A filter's configuration while it is made: the only time at which metrics can be defined.
pub struct Definitions(Config_);

impl Definitions {
    /// # Safety
    /// `config` is what Envoy has given to the hook that is running.
    pub unsafe fn new(config: *mut c_void) -> Self {
        Definitions(config)
    }

    pub fn counter(&self, name: &str, labels: &[&str]) -> Metric {
        self.define(define_counter, name, labels)
    }

    pub fn histogram(&self, name: &str, labels: &[&str]) -> Metric {
        self.define(define_histogram, name, labels)
    }

    fn define(&self, define: Define, name: &str, labels: &[&str]) -> Metric {
        let labels: Vec<Buffer> = labels.iter().map(|label| Buffer::from(*label)).collect();
        let mut id = usize::MAX;
        unsafe { define(self.0, name.into(), labels.as_ptr(), labels.len(), &mut id) };
        Metric(id)
    }
}

/// One request and its answer, or one attempt of it, during one hook.
pub struct Stream<'a> {
    stream: Stream_,
    hook: PhantomData<&'a ()>,
}

impl<'a> Stream<'a> {
    /// # Safety
    /// `stream` is what Envoy has given to the hook that is running.
    pub unsafe fn new(stream: *mut c_void) -> Self {
        Stream {
            stream,
            hook: PhantomData,
        }
    }

    pub fn header(&self, map: Map, name: &str) -> Option<&'a [u8]> {
        let mut value = Buffer::NONE;
        unsafe {
            let found = get_header(self.stream, map as u32, name.into(), &mut value, 0, ptr::null_mut());
            (found && !value.start.is_null()).then(|| value.bytes())
        }
    }

    pub fn set_header(&self, map: Map, name: &str, value: &[u8]) {
        unsafe { set_header(self.stream, map as u32, name.into(), Buffer::of(value)) };
    }

    pub fn remove_header(&self, map: Map, name: &str) {
        unsafe { set_header(self.stream, map as u32, name.into(), Buffer::NONE) };
    }

    /// Names of the headers that begin with `prefix`.
    pub fn header_names(&self, map: Map, prefix: &str) -> Vec<String> {
        unsafe {
            let mut headers = Vec::<Header>::with_capacity(headers_size(self.stream, map as u32));
            if headers.capacity() == 0 || !get_headers(self.stream, map as u32, headers.as_mut_ptr()) {
                return Vec::new();
            }
            headers.set_len(headers_size(self.stream, map as u32));
            let names = headers.iter().map(|header| header.key.bytes());
            let found = names.filter(|name| name.starts_with(prefix.as_bytes()));
            found.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        }
    }

    /// All of that part of the body; copied only where Envoy has it in pieces.
    pub fn body(&self, kind: Body) -> Cow<'a, [u8]> {
        joined(&self.pieces(kind))
    }

    /// At least the last `most` bytes of the answer's body that has just come, if there are so many.
    pub fn end_of_answer(&self, most: usize) -> Cow<'a, [u8]> {
        let pieces = self.pieces(Body::ReceivedResponse);
        let (mut first, mut size) = (pieces.len(), 0);
        while first > 0 && size < most {
            first -= 1;
            size += pieces[first].len();
        }
        joined(&pieces[first..])
    }

    fn pieces(&self, kind: Body) -> Vec<&'a [u8]> {
        unsafe {
            let mut pieces = vec![Buffer::NONE; body_chunks_size(self.stream, kind as u32)];
            if pieces.is_empty() || !body_chunks(self.stream, kind as u32, pieces.as_mut_ptr()) {
                return Vec::new();
            }
            pieces.into_iter().map(|piece| piece.bytes()).collect()
        }
    }

    /// All of the request's body that has come so far.
    pub fn request_body(&self) -> Cow<'a, [u8]> {
        let again = unsafe { received_buffered_request(self.stream) };
        self.all(Body::BufferedRequest, Body::ReceivedRequest, again)
    }

    /// All of the answer's body that has come so far.
    pub fn response_body(&self) -> Cow<'a, [u8]> {
        let again = unsafe { received_buffered_response(self.stream) };
        self.all(Body::BufferedResponse, Body::ReceivedResponse, again)
    }

    /// `again`: what has been received is what was buffered.
    fn all(&self, buffered: Body, received: Body, again: bool) -> Cow<'a, [u8]> {
        let mut pieces = if again { Vec::new() } else { self.pieces(buffered) };
        pieces.extend(self.pieces(received));
        joined(&pieces)
    }

    /// In the hook that has received its end.
    pub fn replace_response_body(&self, body: &[u8]) {
        let received = self.body_size(Body::ReceivedResponse) > 0;
        self.drain(Body::BufferedResponse);
        self.drain(Body::ReceivedResponse);
        self.append(
            if received {
                Body::ReceivedResponse
            } else {
                Body::BufferedResponse
            },
            body,
        );
    }

    fn body_size(&self, kind: Body) -> usize {
        unsafe { body_size(self.stream, kind as u32) }
    }

    pub fn append(&self, kind: Body, data: &[u8]) {
        unsafe { append_body(self.stream, kind as u32, Buffer::of(data)) };
    }

    pub fn drain(&self, kind: Body) {
        unsafe { drain_body(self.stream, kind as u32, self.body_size(kind)) };
    }

    /// A longer body (bytes) is answered 413.
    pub fn limit_body(&self, bytes: u64) {
        unsafe { set_buffer_limit(self.stream, bytes) };
    }

    /// Answers instead of an engine; the listener puts the text into OpenAI's form.
    pub fn respond(&self, status: u32, text: &str) {
        let details = Buffer::of(b"heterollm");
        unsafe {
            send_response(
                self.stream,
                status,
                ptr::null(),
                0,
                Buffer::of(text.as_bytes()),
                details,
            )
        };
    }

    /// More of an answer that has begun. Its end must not be said in the hook that hears of a failure: Envoy would destroy
    /// the stream twice.
    pub fn send(&self, data: &[u8]) {
        unsafe { send_response_data(self.stream, Buffer::of(data), false) };
    }

    /// Says something to access logs and to the forms of errors.
    pub fn note(&self, space: &str, key: &str, value: &[u8]) {
        unsafe { set_string(self.stream, space.into(), key.into(), Buffer::of(value)) };
    }

    pub fn note_number(&self, space: &str, key: &str, value: f64) {
        unsafe { set_number(self.stream, space.into(), key.into(), value) };
    }

    pub fn metadata(&self, source: Metadata, space: &str, key: &str) -> Option<&'a [u8]> {
        self.string(source as u32, space, key)
    }

    fn string(&self, source: u32, space: &str, key: &str) -> Option<&'a [u8]> {
        let mut value = Buffer::NONE;
        unsafe { get_string(self.stream, source, space.into(), key.into(), &mut value).then(|| value.bytes()) }
    }

    pub fn number(&self, attribute: Attribute) -> Option<u64> {
        let mut value = 0;
        unsafe { get_attribute_int(self.stream, attribute as u32, &mut value) }.then_some(value)
    }

    /// `labels`: one value for each of the metric's.
    pub fn count<const N: usize>(&self, metric: Metric, labels: &[&[u8]; N]) {
        self.add(metric, labels, 1);
    }

    pub fn add<const N: usize>(&self, metric: Metric, labels: &[&[u8]; N], amount: u64) {
        let values = labels.map(Buffer::of);
        unsafe { increment_counter(self.stream, metric.0, values.as_ptr(), N, amount) };
    }

    pub fn record<const N: usize>(&self, metric: Metric, labels: &[&[u8]; N], value: u64) {
        let values = labels.map(Buffer::of);
        unsafe { record_histogram(self.stream, metric.0, values.as_ptr(), N, value) };
    }

    /// What `note_number` has said, in another attempt too.
    pub fn noted_number(&self, space: &str, key: &str) -> Option<f64> {
        let mut value = 0.0;
        unsafe { get_number(self.stream, 0, space.into(), key.into(), &mut value) }.then_some(value)
    }

    /// What `note` has said, in another attempt too.
    pub fn noted(&self, space: &str, key: &str) -> Option<&'a [u8]> {
        self.string(0, space, key)
    }

    /// Keeps bytes for the other filter, and the other attempts of this request.
    pub fn keep(&self, key: &str, value: &[u8]) {
        unsafe { set_state(self.stream, key.into(), Buffer::of(value)) };
    }

    pub fn kept(&self, key: &str) -> Option<&'a [u8]> {
        let mut value = Buffer::NONE;
        unsafe { get_state(self.stream, key.into(), &mut value).then(|| value.bytes()) }
    }

    pub fn choose_route_again(&self) {
        unsafe { clear_route_cache(self.stream) };
    }

    /// Sends on what has been waited with.
    pub fn go_on(&self) {
        unsafe { continue_decoding(self.stream) };
    }

    /// By which the hook for that is called.
    pub fn wake(&self) -> Wake {
        Wake(unsafe { scheduler_new(self.stream) })
    }

    /// What the route says to this filter, as `per_route_config_new` has made it.
    ///
    pub fn route_config<T>(&self) -> Option<*const T> {
        let told = unsafe { route_config(self.stream) };
        (!told.is_null()).then_some(told.cast())
    }
}

/// A header of a request that is being logged.
///
/// # Safety
/// `log` is what Envoy has given to the hook that is running, and the header lasts as long as that.
pub unsafe fn logged<'a>(log: *mut c_void, name: &str) -> Option<&'a [u8]> {
    let mut value = Buffer::NONE;
    let found = logged_header(log, Map::Request as u32, name.into(), &mut value, 0, ptr::null_mut());
    found.then(|| value.bytes())
}

/// Calls a filter's hook from any thread; nothing happens if the filter is gone.
pub struct Wake(*mut c_void);

// Envoy's side is made for that.
unsafe impl Send for Wake {}

impl Wake {
    pub fn up(self) {
        unsafe { scheduler_commit(self.0, 0) };
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        unsafe { scheduler_delete(self.0) };
    }
}

fn joined<'a>(pieces: &[&'a [u8]]) -> Cow<'a, [u8]> {
    match pieces {
        [] => Cow::Borrowed(&[]),
        [whole] => Cow::Borrowed(whole),
        several => Cow::Owned(several.concat()),
    }
}

impl From<&str> for Buffer {
    fn from(text: &str) -> Self {
        Buffer::of(text.as_bytes())
    }
}

pub fn log_error(message: &str) {
    const ERROR: u32 = 4;
    unsafe { log(ERROR, message.into()) };
}
