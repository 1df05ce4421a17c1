//! How a stream begins that is added by call.

use super::Windows;
use crate::error::{Error, Result};
use crate::index::Roc;
use crate::replay::WINDOWS;

/// How a stream begins that is added by [`Inbound::add_stream_with`](crate::Inbound::add_stream_with) or
/// [`Outbound::add_stream_with`](crate::Outbound::add_stream_with): unless said otherwise at rollover counter 0, with the replay windows of its
/// context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "options do nothing until a stream is added with them"]
pub struct StreamOptions {
    pub(crate) roc: Roc,
    pub(crate) srtcp_index: u32,
    srtp_window: Option<u32>,
    srtcp_window: Option<u32>,
}

impl StreamOptions {
    /// A stream that starts at rollover counter `roc`: for a late joiner that was told it.
    pub const fn starting_at(roc: Roc) -> Self {
        Self { roc, srtcp_index: 0, srtp_window: None, srtcp_window: None }
    }

    /// The first SRTCP index to be sent, of 31 bits. Inbound it is of no account: SRTCP packets carry theirs.
    pub const fn srtcp_index(self, index: u32) -> Self {
        Self { srtcp_index: index, ..self }
    }

    /// The SRTP replay window, in packets: 64 to 32768.
    pub const fn replay_window(self, packets: u32) -> Self {
        Self { srtp_window: Some(packets), ..self }
    }

    /// The SRTCP replay window, in packets: 64 to 32768. Outbound there is none.
    pub const fn srtcp_replay_window(self, packets: u32) -> Self {
        Self { srtcp_window: Some(packets), ..self }
    }

    /// The windows of the stream, in a context whose streams have others.
    ///
    /// # Errors
    ///
    /// [`Error::BadReplayWindow`].
    pub(crate) fn windows(&self, others: Windows) -> Result<Windows> {
        let windows = Windows {
            srtp: self.srtp_window.unwrap_or(others.srtp),
            srtcp: others.srtcp.map(|other| self.srtcp_window.unwrap_or(other)),
        };
        let is_good = |window: &u32| WINDOWS.contains(window);
        if is_good(&windows.srtp) && windows.srtcp.iter().all(is_good) {
            Ok(windows)
        } else {
            Err(Error::BadReplayWindow)
        }
    }
}
