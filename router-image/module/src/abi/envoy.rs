//! What the module calls of Envoy: its C interface for dynamic modules, as far as it is used here.
//!
//! What Envoy hands out (headers, bodies) is valid until the hook that asked for it returns or changes it, so nothing
//! borrowed here may be kept in a filter. The borrow checker sees to it: whatever changes something takes `&mut self`.

use std::borrow::Cow;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{ptr, slice};

use super::wake;
use crate::stream::{Attribute, Counter, HeaderMap, Histogram, MetadataSource, MetricDefinitions, Stream, METADATA};

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

type StreamPtr = *mut c_void;
type ConfigPtr = *mut c_void;
type Define = unsafe extern "C" fn(ConfigPtr, Buffer, *const Buffer, usize, *mut usize) -> u32;

macro_rules! callbacks {
    ($($name:ident => $symbol:literal ($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        extern "C" { $( #[link_name = $symbol] fn $name($($arg: $kind),*) $(-> $out)?; )* }
    };
}

callbacks! {
    get_header => "envoy_dynamic_module_callback_http_get_header"
        (stream: StreamPtr, map: u32, key: Buffer, value: *mut Buffer, index: usize, count: *mut usize) -> bool;
    set_header => "envoy_dynamic_module_callback_http_set_header"
        (stream: StreamPtr, map: u32, key: Buffer, value: Buffer) -> bool;
    headers_size => "envoy_dynamic_module_callback_http_get_headers_size" (stream: StreamPtr, map: u32) -> usize;
    get_headers => "envoy_dynamic_module_callback_http_get_headers"
        (stream: StreamPtr, map: u32, headers: *mut Header) -> bool;
    body_chunks_size => "envoy_dynamic_module_callback_http_get_body_chunks_size" (stream: StreamPtr, kind: u32) -> usize;
    body_chunks => "envoy_dynamic_module_callback_http_get_body_chunks"
        (stream: StreamPtr, kind: u32, chunks: *mut Buffer) -> bool;
    body_size => "envoy_dynamic_module_callback_http_get_body_size" (stream: StreamPtr, kind: u32) -> usize;
    append_body => "envoy_dynamic_module_callback_http_append_body" (stream: StreamPtr, kind: u32, data: Buffer) -> bool;
    drain_body => "envoy_dynamic_module_callback_http_drain_body" (stream: StreamPtr, kind: u32, bytes: usize) -> bool;
    send_response => "envoy_dynamic_module_callback_http_send_response"
        (stream: StreamPtr, status: u32, headers: *const Header, count: usize, body: Buffer, details: Buffer);
    received_buffered_request => "envoy_dynamic_module_callback_http_received_buffered_request_body"
        (stream: StreamPtr) -> bool;
    received_buffered_response => "envoy_dynamic_module_callback_http_received_buffered_response_body"
        (stream: StreamPtr) -> bool;
    send_response_data => "envoy_dynamic_module_callback_http_send_response_data"
        (stream: StreamPtr, data: Buffer, end: bool);
    set_string => "envoy_dynamic_module_callback_http_set_dynamic_metadata_string"
        (stream: StreamPtr, space: Buffer, key: Buffer, value: Buffer);
    set_number => "envoy_dynamic_module_callback_http_set_dynamic_metadata_number"
        (stream: StreamPtr, space: Buffer, key: Buffer, value: f64);
    get_number => "envoy_dynamic_module_callback_http_get_metadata_number"
        (stream: StreamPtr, source: u32, space: Buffer, key: Buffer, value: *mut f64) -> bool;
    set_state => "envoy_dynamic_module_callback_http_set_filter_state_bytes"
        (stream: StreamPtr, key: Buffer, value: Buffer) -> bool;
    get_state => "envoy_dynamic_module_callback_http_get_filter_state_bytes"
        (stream: StreamPtr, key: Buffer, value: *mut Buffer) -> bool;
    set_buffer_limit => "envoy_dynamic_module_callback_http_set_buffer_limit" (stream: StreamPtr, bytes: u64);
    clear_route_cache => "envoy_dynamic_module_callback_http_clear_route_cache" (stream: StreamPtr);
    get_string => "envoy_dynamic_module_callback_http_get_metadata_string"
        (stream: StreamPtr, source: u32, space: Buffer, key: Buffer, value: *mut Buffer) -> bool;
    get_attribute_int => "envoy_dynamic_module_callback_http_filter_get_attribute_int"
        (stream: StreamPtr, attribute: u32, value: *mut u64) -> bool;
    define_counter => "envoy_dynamic_module_callback_http_filter_config_define_counter"
        (config: ConfigPtr, name: Buffer, labels: *const Buffer, count: usize, id: *mut usize) -> u32;
    define_histogram => "envoy_dynamic_module_callback_http_filter_config_define_histogram"
        (config: ConfigPtr, name: Buffer, labels: *const Buffer, count: usize, id: *mut usize) -> u32;
    increment_counter => "envoy_dynamic_module_callback_http_filter_increment_counter"
        (stream: StreamPtr, id: usize, values: *const Buffer, count: usize, by: u64) -> u32;
    record_histogram => "envoy_dynamic_module_callback_http_filter_record_histogram_value"
        (stream: StreamPtr, id: usize, values: *const Buffer, count: usize, value: u64) -> u32;
    logged_header => "envoy_dynamic_module_callback_access_logger_get_header_value"
        (log: *mut c_void, map: u32, key: Buffer, value: *mut Buffer, index: usize, count: *mut usize) -> bool;
    continue_decoding => "envoy_dynamic_module_callback_http_filter_continue_decoding" (stream: StreamPtr);
    scheduler_new => "envoy_dynamic_module_callback_http_filter_scheduler_new" (stream: StreamPtr) -> *mut c_void;
    scheduler_commit => "envoy_dynamic_module_callback_http_filter_scheduler_commit" (scheduler: *mut c_void, event: u64);
    scheduler_delete => "envoy_dynamic_module_callback_http_filter_scheduler_delete" (scheduler: *mut c_void);
    route_config => "envoy_dynamic_module_callback_get_most_specific_route_config" (stream: StreamPtr) -> *const c_void;
    log => "envoy_dynamic_module_callback_log" (level: u32, message: Buffer);
}

// Envoy's numbers for each: no compiler checks them.

fn map_number(map: HeaderMap) -> u32 {
    match map {
        HeaderMap::Request => 0,
        HeaderMap::Response => 2,
    }
}

fn attribute_number(attribute: Attribute) -> u32 {
    match attribute {
        Attribute::ResponseCode => 15,
        Attribute::Attempts => 53,
    }
}

fn source_number(source: MetadataSource) -> u32 {
    match source {
        MetadataSource::Cluster => 2,
        MetadataSource::Host => 3,
    }
}

const DYNAMIC: u32 = 0;

/// Which part of a body: what has just come, or what came before and was kept.
#[derive(Clone, Copy)]
enum Body {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// A filter's configuration while it is made.
pub struct EnvoyDefinitions<'a> {
    config: ConfigPtr,
    hook: PhantomData<&'a ()>,
}

impl EnvoyDefinitions<'_> {
    /// # Safety
    /// `config` is what Envoy has given to the hook that is running.
    pub unsafe fn new(config: *mut c_void) -> Self {
        EnvoyDefinitions {
            config,
            hook: PhantomData,
        }
    }

    fn define(&self, define: Define, name: &str, labels: &[&str]) -> usize {
        let labels: Vec<Buffer> = labels.iter().map(|label| Buffer::from(*label)).collect();
        let mut id = usize::MAX;
        unsafe { define(self.config, name.into(), labels.as_ptr(), labels.len(), &mut id) };
        id
    }
}

impl MetricDefinitions for EnvoyDefinitions<'_> {
    fn counter(&mut self, name: &str, labels: &[&str]) -> Counter {
        Counter(self.define(define_counter, name, labels))
    }

    fn histogram(&mut self, name: &str, labels: &[&str]) -> Histogram {
        Histogram(self.define(define_histogram, name, labels))
    }
}

/// One request and its answer, or one attempt of it, during one hook.
pub struct EnvoyStream<'a> {
    stream: StreamPtr,
    hook: PhantomData<&'a ()>,
}

impl<'a> EnvoyStream<'a> {
    /// # Safety
    /// `stream` is what Envoy has given to the hook that is running.
    pub unsafe fn new(stream: *mut c_void) -> Self {
        EnvoyStream {
            stream,
            hook: PhantomData,
        }
    }

    /// What the route says to this filter, as `per_route_config_new` has made it.
    pub fn route_config<T>(&self) -> Option<*const T> {
        let config = unsafe { route_config(self.stream) };
        (!config.is_null()).then_some(config.cast())
    }

    fn pieces(&self, kind: Body) -> Vec<&[u8]> {
        unsafe {
            let mut pieces = vec![Buffer::NONE; body_chunks_size(self.stream, kind as u32)];
            if pieces.is_empty() || !body_chunks(self.stream, kind as u32, pieces.as_mut_ptr()) {
                return Vec::new();
            }
            pieces.into_iter().map(|piece| piece.bytes()).collect()
        }
    }

    /// `again`: what has been received is what was buffered.
    fn all(&self, buffered: Body, received: Body, again: bool) -> Cow<'_, [u8]> {
        let mut pieces = if again { Vec::new() } else { self.pieces(buffered) };
        pieces.extend(self.pieces(received));
        joined(&pieces)
    }

    fn body_size(&self, kind: Body) -> usize {
        unsafe { body_size(self.stream, kind as u32) }
    }

    fn append(&mut self, kind: Body, data: &[u8]) {
        unsafe { append_body(self.stream, kind as u32, Buffer::of(data)) };
    }

    fn drain(&mut self, kind: Body) {
        unsafe { drain_body(self.stream, kind as u32, self.body_size(kind)) };
    }

    fn string(&self, source: u32, namespace: &str, key: &str) -> Option<&[u8]> {
        let mut value = Buffer::NONE;
        unsafe { get_string(self.stream, source, namespace.into(), key.into(), &mut value).then(|| value.bytes()) }
    }
}

impl Stream for EnvoyStream<'_> {
    fn header(&self, map: HeaderMap, name: &str) -> Option<&[u8]> {
        let mut value = Buffer::NONE;
        unsafe {
            let found = get_header(
                self.stream,
                map_number(map),
                name.into(),
                &mut value,
                0,
                ptr::null_mut(),
            );
            (found && !value.start.is_null()).then(|| value.bytes())
        }
    }

    fn set_header(&mut self, map: HeaderMap, name: &str, value: &[u8]) {
        unsafe { set_header(self.stream, map_number(map), name.into(), Buffer::of(value)) };
    }

    fn remove_header(&mut self, map: HeaderMap, name: &str) {
        unsafe { set_header(self.stream, map_number(map), name.into(), Buffer::NONE) };
    }

    fn header_names(&self, map: HeaderMap, prefix: &str) -> Vec<String> {
        let map = map_number(map);
        unsafe {
            let mut headers = Vec::<Header>::with_capacity(headers_size(self.stream, map));
            if headers.capacity() == 0 || !get_headers(self.stream, map, headers.as_mut_ptr()) {
                return Vec::new();
            }
            headers.set_len(headers_size(self.stream, map));
            let names = headers.iter().map(|header| header.key.bytes());
            let found = names.filter(|name| name.starts_with(prefix.as_bytes()));
            found.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        }
    }

    fn request_body(&self) -> Cow<'_, [u8]> {
        let again = unsafe { received_buffered_request(self.stream) };
        self.all(Body::BufferedRequest, Body::ReceivedRequest, again)
    }

    /// Copied only where Envoy has it in pieces.
    fn received_request_body(&self) -> Cow<'_, [u8]> {
        joined(&self.pieces(Body::ReceivedRequest))
    }

    fn replace_received_request_body(&mut self, body: &[u8]) {
        self.drain(Body::ReceivedRequest);
        self.append(Body::ReceivedRequest, body);
    }

    fn response_body(&self) -> Cow<'_, [u8]> {
        let again = unsafe { received_buffered_response(self.stream) };
        self.all(Body::BufferedResponse, Body::ReceivedResponse, again)
    }

    fn received_response_end(&self, most: usize) -> Cow<'_, [u8]> {
        let pieces = self.pieces(Body::ReceivedResponse);
        let (mut first, mut size) = (pieces.len(), 0);
        while first > 0 && size < most {
            first -= 1;
            size += pieces[first].len();
        }
        joined(&pieces[first..])
    }

    fn replace_response_body(&mut self, body: &[u8]) {
        let place = if self.body_size(Body::ReceivedResponse) > 0 {
            Body::ReceivedResponse
        } else {
            Body::BufferedResponse
        };
        self.drain(Body::BufferedResponse);
        self.drain(Body::ReceivedResponse);
        self.append(place, body);
    }

    fn add_response_body(&mut self, body: &[u8]) {
        self.append(Body::BufferedResponse, body);
    }

    fn set_buffer_limit(&mut self, bytes: u64) {
        unsafe { set_buffer_limit(self.stream, bytes) };
    }

    fn send_response(&mut self, status: u32, text: &str) {
        let (text, details) = (text.into(), "heterollm".into());
        unsafe { send_response(self.stream, status, ptr::null(), 0, text, details) };
    }

    fn send_response_data(&mut self, data: &[u8]) {
        unsafe { send_response_data(self.stream, Buffer::of(data), false) };
    }

    fn metadata(&self, source: MetadataSource, namespace: &str, key: &str) -> Option<&[u8]> {
        self.string(source_number(source), namespace, key)
    }

    fn dynamic_metadata(&self, key: &str) -> Option<&[u8]> {
        self.string(DYNAMIC, METADATA, key)
    }

    fn set_dynamic_metadata(&mut self, key: &str, value: &[u8]) {
        unsafe { set_string(self.stream, METADATA.into(), key.into(), Buffer::of(value)) };
    }

    fn dynamic_metadata_number(&self, key: &str) -> Option<f64> {
        let mut value = 0.0;
        unsafe { get_number(self.stream, DYNAMIC, METADATA.into(), key.into(), &mut value) }.then_some(value)
    }

    fn set_dynamic_metadata_number(&mut self, key: &str, value: f64) {
        unsafe { set_number(self.stream, METADATA.into(), key.into(), value) };
    }

    fn filter_state(&self, key: &str) -> Option<&[u8]> {
        let mut value = Buffer::NONE;
        unsafe { get_state(self.stream, key.into(), &mut value).then(|| value.bytes()) }
    }

    fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        unsafe { set_state(self.stream, key.into(), Buffer::of(value)) };
    }

    fn attribute(&self, attribute: Attribute) -> Option<u64> {
        let mut value = 0;
        unsafe { get_attribute_int(self.stream, attribute_number(attribute), &mut value) }.then_some(value)
    }

    fn clear_route_cache(&mut self) {
        unsafe { clear_route_cache(self.stream) };
    }

    fn continue_decoding(&mut self) {
        unsafe { continue_decoding(self.stream) };
    }

    fn wake_after(&mut self, pause: Duration) {
        wake::after(pause, Scheduler(unsafe { scheduler_new(self.stream) }));
    }

    fn increment_counter<const N: usize>(&self, counter: Counter, labels: &[&[u8]; N], by: u64) {
        let values = labels.map(Buffer::of);
        unsafe { increment_counter(self.stream, counter.0, values.as_ptr(), N, by) };
    }

    fn record_histogram<const N: usize>(&self, histogram: Histogram, labels: &[&[u8]; N], value: u64) {
        let values = labels.map(Buffer::of);
        unsafe { record_histogram(self.stream, histogram.0, values.as_ptr(), N, value) };
    }

    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A header of a request that is being logged.
///
/// # Safety
/// `log` is what Envoy has given to the hook that is running, and the header lasts as long as that.
pub unsafe fn logged_request_header<'a>(log: *mut c_void, name: &str) -> Option<&'a [u8]> {
    let (mut value, map) = (Buffer::NONE, map_number(HeaderMap::Request));
    let found = logged_header(log, map, name.into(), &mut value, 0, ptr::null_mut());
    found.then(|| value.bytes())
}

/// Calls a filter's hook from any thread; nothing happens if the filter is gone.
pub struct Scheduler(*mut c_void);

// Envoy's side is made for that.
unsafe impl Send for Scheduler {}

impl Scheduler {
    pub fn commit(self) {
        unsafe { scheduler_commit(self.0, 0) };
    }
}

impl Drop for Scheduler {
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
