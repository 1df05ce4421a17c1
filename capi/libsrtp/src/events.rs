//! Events, and logging.

use crate::abi::*;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// The handler, or null.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Has `handler` called with every event from here on; null for none. It is called on the thread whose call raised the event, with no guard held, and may
/// call anything.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_install_event_handler(handler: Option<EventHandler>) -> Status {
    let pointer = handler.map_or(core::ptr::null_mut(), |handler| handler as *mut ());
    // Release: pairs with the Acquire in `raise`: what the client did before is seen by its handler.
    HANDLER.store(pointer, Ordering::Release);
    Status::Ok
}

/// Whether anybody wants to hear of events.
pub(crate) fn has_handler() -> bool {
    // Relaxed: `raise` looks again.
    !HANDLER.load(Ordering::Relaxed).is_null()
}

pub(crate) fn raise(session: srtp_t, ssrc: u32, event: u32) {
    // Acquire: pairs with the Release in `srtp_install_event_handler`.
    let pointer = HANDLER.load(Ordering::Acquire);
    if pointer.is_null() {
        return;
    }
    // SAFETY: not null, so a handler that was installed.
    let handler = unsafe { core::mem::transmute::<*mut (), EventHandler>(pointer) };
    let mut data = srtp_event_data_t { session, ssrc, event };
    // SAFETY: a function of the client, given to be called so; the data lives during the call.
    unsafe { handler(&raw mut data) };
}

/// What was given to be logged to.
struct Log {
    handler: Option<LogHandler>,
    data: *mut c_void,
}

// SAFETY: the pointer is only handed back.
unsafe impl Send for Log {}

static LOG: Mutex<Log> = Mutex::new(Log { handler: None, data: core::ptr::null_mut() });

/// Has `handler` called with what is to be logged; null for none.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_install_log_handler(handler: Option<LogHandler>, data: *mut c_void) -> Status {
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Log { handler, data };
    Status::Ok
}

/// Says something to whom it may concern.
fn log(level: c_int, message: &'static core::ffi::CStr) {
    let (handler, data) = {
        let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        (log.handler, log.data)
    };
    if let Some(handler) = handler {
        // SAFETY: a function of the client, given to be called so; the text is constant. No lock is held.
        unsafe { handler(level, message.as_ptr(), data) };
    }
}

/// The modules that libsrtp2 can be asked to debug.
const MODULES: [&core::ffi::CStr; 9] = [
    c"srtp",
    c"hmac sha-1",
    c"aes icm ossl",
    c"aes gcm ossl",
    c"alloc",
    c"crypto kernel",
    c"auth func",
    c"cipher",
    c"stat test",
];

/// Takes the name of a module; nothing here is debugged so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn srtp_set_debug_module(name: *const c_char, _on: c_int) -> Status {
    if name.is_null() {
        return Status::BadParam;
    }
    // SAFETY: not null; a text of the caller.
    let name = unsafe { core::ffi::CStr::from_ptr(name) };
    if MODULES.contains(&name) { Status::Ok } else { Status::Fail }
}

/// Logs what modules there are.
#[unsafe(no_mangle)]
pub extern "C" fn srtp_list_debug_modules() -> Status {
    const INFO: c_int = 2;
    MODULES.iter().for_each(|module| log(INFO, module));
    Status::Ok
}
