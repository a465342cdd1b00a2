//! The functions that Envoy calls, by its names for them. A mistake in a filter (a panic) must not end Envoy: the request
//! goes on as if the filter were not there, which routes it to the last tier.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use crate::abi::envoy::{log_error, logged, Buffer, Definitions, Stream};
use crate::abi::status::Status;
use crate::filters::attempt::Attempt;
use crate::filters::choose::Choose;
use crate::filters::failures::fault::TierState;
use crate::filters::failures::lost_connections;
use crate::filters::headers::REQUEST;
use crate::filters::metrics::Metrics;
use crate::filters::route_config::{AttemptConfig, ChooseConfig};

/// A filter as the listener or a cluster has it.
enum Config {
    Choose(Metrics),
    Attempt(Arc<TierState>),
}

/// What routes tell a filter.
enum Told {
    Choose(Box<ChooseConfig>),
    Attempt(AttemptConfig),
}

/// A filter at work on one request, or on one attempt of it.
struct Filter {
    work: Work,
    /// What its route tells it, once it has been asked for.
    told: Cell<*const Told>,
}

// One allocation for each, of the same size: there is one attempt for most requests.
#[allow(clippy::large_enum_variant)]
enum Work {
    Choose(Choose),
    Attempt(Attempt),
}

impl Filter {
    /// Asking Envoy each time would cost more than most hooks do.
    ///
    /// # Safety
    /// `stream` is the filter's own. Its routes, and what they tell, stay while it lasts, and say the same of the filter
    /// before and after a tier is chosen, as that is said for all of them together.
    unsafe fn told<'a>(&'a self, stream: &Stream<'a>) -> Option<&'a Told> {
        if self.told.get().is_null() {
            self.told.set(stream.route_config()?);
        }
        self.told.get().as_ref()
    }
}

const GO: u32 = 0;
const STOP: u32 = 1;
const STOP_AND_KEEP: u32 = 2;

/// As its headers have been waited with, so has a body. Headers know one way to stop; a body that waits is kept.
fn code(status: Status) -> u32 {
    match status {
        Status::Go => GO,
        Status::Wait => STOP,
        Status::Hold => STOP_AND_KEEP,
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
unsafe fn run(stream: *mut c_void, filter: *const c_void, hook: impl FnOnce(&Work, &Stream, &Told) -> Status) -> u32 {
    let (stream, filter) = (Stream::new(stream), &*filter.cast::<Filter>());
    guarded(GO, || match filter.told(&stream) {
        Some(told) => code(hook(&filter.work, &stream, told)),
        None => GO,
    })
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
    match name.bytes() {
        b"choose" => boxed(Config::Choose(Metrics::define(&Definitions::new(envoy)))),
        b"attempt" => boxed(Config::Attempt(Arc::default())),
        _ => std::ptr::null(),
    }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *const c_void) {
    unbox::<Config>(config);
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    name: Buffer,
    config: Buffer,
) -> *const c_void {
    let told = guarded(None, || match name.bytes() {
        b"choose" => ChooseConfig::parse(config.bytes()).map(|told| Told::Choose(Box::new(told))),
        b"attempt" => AttemptConfig::parse(config.bytes()).map(Told::Attempt),
        _ => None,
    });
    told.map_or(std::ptr::null(), boxed)
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(config: *const c_void) {
    unbox::<Told>(config);
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const c_void,
    _stream: *mut c_void,
) -> *const c_void {
    let work = match &*config.cast::<Config>() {
        Config::Choose(metrics) => Work::Choose(Choose::new(*metrics)),
        Config::Attempt(shared) => Work::Attempt(Attempt::new(shared.clone())),
    };
    boxed(Filter {
        work,
        told: Cell::new(std::ptr::null()),
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *const c_void) {
    unbox::<Filter>(filter);
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, told| match (filter, told) {
        (Work::Choose(choose), Told::Choose(policy)) => choose.request_headers(stream, policy, end),
        (Work::Attempt(attempt), Told::Attempt(policy)) => attempt.request_headers(stream, policy),
        _ => Status::Go,
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, told| match (filter, told) {
        (Work::Choose(_), Told::Choose(_)) if !end => Status::Wait,
        (Work::Choose(choose), Told::Choose(policy)) => choose.request_end(stream, policy),
        (Work::Attempt(attempt), Told::Attempt(policy)) => attempt.request_body(stream, policy),
        _ => Status::Go,
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    stream: *mut c_void,
    filter: *const c_void,
) -> u32 {
    run(stream, filter, |filter, stream, told| match (filter, told) {
        (Work::Choose(choose), Told::Choose(policy)) => choose.request_end(stream, policy),
        _ => Status::Go,
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, told| match (filter, told) {
        (Work::Choose(choose), _) => choose.response_headers(stream, end),
        (Work::Attempt(attempt), Told::Attempt(policy)) => attempt.response_headers(stream, policy, end),
        _ => Status::Go,
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    stream: *mut c_void,
    filter: *const c_void,
    end: bool,
) -> u32 {
    run(stream, filter, |filter, stream, told| match (filter, told) {
        (Work::Choose(choose), _) => choose.response_body(stream, end),
        (Work::Attempt(attempt), Told::Attempt(policy)) if end => attempt.response_end(stream, policy),
        (Work::Attempt(attempt), Told::Attempt(_)) => attempt.response_body(),
        _ => Status::Go,
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    stream: *mut c_void,
    filter: *const c_void,
) -> u32 {
    run(stream, filter, |filter, stream, told| match (filter, told) {
        (Work::Choose(choose), _) => choose.response_body(stream, true),
        (Work::Attempt(attempt), Told::Attempt(policy)) => attempt.response_end(stream, policy),
        _ => Status::Go,
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(stream: *mut c_void, filter: *const c_void) {
    guarded((), || {
        if let Work::Choose(choose) = &(*filter.cast::<Filter>()).work {
            choose.complete(&Stream::new(stream));
        }
    });
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

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    stream: *mut c_void,
    filter: *const c_void,
    _event: u64,
) {
    guarded((), || {
        if let Work::Attempt(attempt) = &(*filter.cast::<Filter>()).work {
            attempt.go_on(&Stream::new(stream));
        }
    });
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
        if let Some(request) = logged(log, REQUEST) {
            lost_connections::add(request);
        }
    });
}

/// Envoy answers by itself, or would if the answer had not begun.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    stream: *mut c_void,
    filter: *const c_void,
    _status: u32,
    _details: Buffer,
    _reset: bool,
) -> u32 {
    guarded((), || {
        if let Work::Choose(choose) = &(*filter.cast::<Filter>()).work {
            choose.failed(&Stream::new(stream));
        }
    });
    GO
}
