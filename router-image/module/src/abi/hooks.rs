//! The functions that Envoy calls, by its names for them. A mistake in a filter (a panic) must not end Envoy: the request
//! goes on as if the filter were not there, which routes it to the last tier.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};

use super::envoy::{log_error, logged_request_header, Buffer, EnvoyDefinitions, EnvoyStream};
use crate::filters::chain::{Filter, FilterConfig, RouteConfig};
use crate::filters::failures::lost_connections;
use crate::filters::headers::REQUEST;
use crate::stream::Status;

/// A filter at work on one request, or on one attempt of it.
struct Running {
    filter: Filter,
    /// What its route tells it, once it has been asked for.
    config: Cell<*const RouteConfig>,
}

impl Running {
    /// Asking Envoy each time would cost more than most hooks do.
    ///
    /// # Safety
    /// `stream` is the filter's own. Its routes, and what they tell, stay while it lasts, and say the same of the filter
    /// before and after a tier is chosen, as that is said for all of them together.
    unsafe fn config(&self, stream: &EnvoyStream) -> Option<&RouteConfig> {
        if self.config.get().is_null() {
            self.config.set(stream.route_config()?);
        }
        self.config.get().as_ref()
    }
}

const CONTINUE: u32 = 0;
const STOP_ITERATION: u32 = 1;
const STOP_AND_WATERMARK: u32 = 2;

/// As its headers have been waited with, so has a body. Headers know one way to stop; a body that waits is kept.
fn code(status: Status) -> u32 {
    match status {
        Status::Continue => CONTINUE,
        Status::StopIteration => STOP_ITERATION,
        Status::StopAndWatermark => STOP_AND_WATERMARK,
    }
}

fn guarded<T>(otherwise: T, hook: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or_else(|_| {
        log_error("heterollm: a filter has failed");
        otherwise
    })
}

/// # Safety
/// `filter` is what `filter_new` has returned.
unsafe fn run(
    stream: *mut c_void,
    filter: *const c_void,
    hook: impl FnOnce(&Filter, &mut EnvoyStream, &RouteConfig) -> Status,
) -> u32 {
    let (mut stream, running) = (EnvoyStream::new(stream), &*filter.cast::<Running>());
    guarded(CONTINUE, || match running.config(&stream) {
        Some(config) => code(hook(&running.filter, &mut stream, config)),
        None => CONTINUE,
    })
}

/// For hooks that need nothing of the route.
///
/// # Safety
/// `filter` is what `filter_new` has returned.
unsafe fn tell(stream: *mut c_void, filter: *const c_void, hook: impl FnOnce(&Filter, &mut EnvoyStream)) {
    let (mut stream, running) = (EnvoyStream::new(stream), &*filter.cast::<Running>());
    guarded((), || hook(&running.filter, &mut stream));
}

#[no_mangle]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const u8 {
    b"v0.2.0\0".as_ptr()
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: *mut c_void,
    name: Buffer,
    _config: Buffer,
) -> *const c_void {
    let config = FilterConfig::new(name.bytes(), &mut EnvoyDefinitions::new(envoy));
    config.map_or(std::ptr::null(), boxed)
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *const c_void) {
    unbox::<FilterConfig>(config);
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    name: Buffer,
    config: Buffer,
) -> *const c_void {
    let config = guarded(None, || RouteConfig::parse(name.bytes(), config.bytes()));
    config.map_or(std::ptr::null(), boxed)
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(config: *const c_void) {
    unbox::<RouteConfig>(config);
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const c_void,
    _stream: *mut c_void,
) -> *const c_void {
    boxed(Running {
        filter: (*config.cast::<FilterConfig>()).filter(),
        config: Cell::new(std::ptr::null()),
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *const c_void) {
    unbox::<Running>(filter);
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, config| {
        filter.on_request_headers(stream, config, end)
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, config| {
        filter.on_request_body(stream, config, end)
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    stream: *mut c_void,
    filter: *const c_void,
) -> u32 {
    run(stream, filter, |filter, stream, config| {
        filter.on_request_trailers(stream, config)
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, config| {
        filter.on_response_headers(stream, config, end)
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, config| {
        filter.on_response_body(stream, config, end)
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    stream: *mut c_void,
    filter: *const c_void,
) -> u32 {
    run(stream, filter, |filter, stream, config| {
        filter.on_response_trailers(stream, config)
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(stream: *mut c_void, filter: *const c_void) {
    tell(stream, filter, |filter, stream| filter.on_stream_complete(stream));
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    stream: *mut c_void,
    filter: *const c_void,
    _event: u64,
) {
    tell(stream, filter, |filter, stream| filter.on_scheduled(stream));
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    stream: *mut c_void,
    filter: *const c_void,
    _status: u32,
    _details: Buffer,
    _reset: bool,
) -> u32 {
    tell(stream, filter, |filter, stream| filter.on_local_reply(stream));
    CONTINUE
}

fn boxed<T>(value: T) -> *const c_void {
    Box::into_raw(Box::new(value)) as *const c_void
}

/// # Safety
/// `pointer` is a result of `boxed::<T>` that has not been given back yet.
unsafe fn unbox<T>(pointer: *const c_void) {
    drop(Box::from_raw(pointer as *mut T));
}

/// Envoy wants these to exist, and never calls them for what is used here.
macro_rules! unused {
    ($($name:ident)*) => { $( #[no_mangle] extern "C" fn $name() {} )* };
}

unused! {
    envoy_dynamic_module_on_access_logger_config_destroy
    envoy_dynamic_module_on_access_logger_destroy
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_config_scheduled
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}

/// The one logger; it knows nothing of its own.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_access_logger_config_new(
    _envoy: *mut c_void,
    _name: Buffer,
    _config: Buffer,
) -> *const c_void {
    std::ptr::NonNull::<u8>::dangling().as_ptr().cast()
}

#[no_mangle]
extern "C" fn envoy_dynamic_module_on_access_logger_new(config: *const c_void, _envoy: *mut c_void) -> *const c_void {
    config
}

/// An attempt was lost: its conditions say so.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_access_logger_log(log: *mut c_void, _logger: *const c_void, _kind: u32) {
    guarded((), || {
        if let Some(request) = logged_request_header(log, REQUEST) {
            lost_connections::add(request);
        }
    });
}
