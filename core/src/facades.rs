//! What owners see, through the facades that programs collect it by. Nothing here is on a data path.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use tracing::trace_event;
