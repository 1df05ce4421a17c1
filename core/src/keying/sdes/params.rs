//! Session parameters (RFC 4568 6.3).

use super::decimal;
use super::error::{Error, Quoted};
use core::fmt::{self, Write};

/// Whether forward error correction comes before protection or after it, at the sender (RFC 4568 6.3.4). It is the application's to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FecOrder {
    /// `FEC_SRTP`: first FEC, then protection. What holds if nothing is said.
    FecSrtp,
    /// `SRTP_FEC`: first protection, then FEC.
    SrtpFec,
}

/// The session parameters of an attribute, as far as they are supported.
///
/// `KDR`, `UNAUTHENTICATED_SRTP` and `FEC_KEY` are refused. Parameters that say they may be ignored, by a `-` before their name, are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SessionParams {
    /// `UNENCRYPTED_SRTP`: RTP payloads stay in the clear. Offer and answer agree on it.
    pub unencrypted_srtp: bool,
    /// `UNENCRYPTED_SRTCP`: RTCP stays in the clear. Offer and answer agree on it.
    pub unencrypted_srtcp: bool,
    /// `FEC_ORDER`, if it was given.
    pub fec_order: Option<FecOrder>,
    /// `WSH`, the window size hint: how large the receiver of this attribute should make its replay window, in packets; 64 or more.
    pub window_size_hint: Option<u32>,
}

const UNENCRYPTED_SRTP: &str = "UNENCRYPTED_SRTP";
const UNENCRYPTED_SRTCP: &str = "UNENCRYPTED_SRTCP";
const FEC_ORDER: &str = "FEC_ORDER";
const FEC_SRTP: &str = "FEC_SRTP";
const SRTP_FEC: &str = "SRTP_FEC";
const WSH: &str = "WSH";
/// Known, and not supported. The value of `FEC_KEY` is a key.
const UNSUPPORTED: [&str; 3] = ["KDR", "UNAUTHENTICATED_SRTP", "FEC_KEY"];

impl SessionParams {
    /// The least that a window may be (RFC 3711 3.3.2).
    const SMALLEST_WINDOW: u32 = 64;

    /// # Errors
    ///
    /// [`Error::BadParameter`].
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.window_size_hint {
            Some(hint) if hint < Self::SMALLEST_WINDOW => {
                Err(Error::BadParameter(Quoted::new(&format!("{WSH}={hint}"))))
            }
            _ => Ok(()),
        }
    }

    /// Reads one more parameter.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedParameter`], [`Error::BadParameter`], [`Error::RepeatedParameter`].
    pub(super) fn read(&mut self, text: &str) -> Result<(), Error> {
        let bad = || Error::BadParameter(Quoted::new(text));
        if let Some(optional) = text.strip_prefix('-') {
            return if optional.is_empty() || optional.starts_with('-') { Err(bad()) } else { Ok(()) };
        }
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if let Some(known) = UNSUPPORTED.into_iter().find(|known| is(known)) {
            return Err(Error::UnsupportedParameter(Quoted::known(known)));
        }
        if is(UNENCRYPTED_SRTP) && value.is_none() {
            flag(&mut self.unencrypted_srtp, UNENCRYPTED_SRTP)
        } else if is(UNENCRYPTED_SRTCP) && value.is_none() {
            flag(&mut self.unencrypted_srtcp, UNENCRYPTED_SRTCP)
        } else if is(FEC_ORDER) {
            set(&mut self.fec_order, FEC_ORDER, value.and_then(FecOrder::read).ok_or_else(bad)?)
        } else if is(WSH) {
            let hint = value.and_then(decimal::number).and_then(|hint| hint.try_into().ok());
            set(&mut self.window_size_hint, WSH, hint.ok_or_else(bad)?)?;
            self.check()
        } else if is(UNENCRYPTED_SRTP) || is(UNENCRYPTED_SRTCP) {
            Err(bad())
        } else {
            Err(Error::UnsupportedParameter(Quoted::new(name)))
        }
    }

    /// Writes the parameters, a space before each.
    pub(super) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        for (set, name) in [(self.unencrypted_srtp, UNENCRYPTED_SRTP), (self.unencrypted_srtcp, UNENCRYPTED_SRTCP)] {
            if set {
                write!(out, " {name}")?;
            }
        }
        if let Some(order) = self.fec_order {
            write!(out, " {FEC_ORDER}={}", order.name())?;
        }
        self.window_size_hint.map_or(Ok(()), |hint| write!(out, " {WSH}={hint}"))
    }

    /// Whether both leave the same in the clear: the parameters that offer and answer must agree on.
    pub(super) const fn agrees_with(&self, other: &Self) -> bool {
        self.unencrypted_srtp == other.unencrypted_srtp && self.unencrypted_srtcp == other.unencrypted_srtcp
    }

    /// What of an offer's parameters its answer repeats.
    pub(super) fn negotiated(&self) -> Self {
        Self { unencrypted_srtp: self.unencrypted_srtp, unencrypted_srtcp: self.unencrypted_srtcp, ..Self::default() }
    }
}

impl FecOrder {
    fn read(text: &str) -> Option<Self> {
        [Self::FecSrtp, Self::SrtpFec].into_iter().find(|order| text.eq_ignore_ascii_case(order.name()))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::FecSrtp => FEC_SRTP,
            Self::SrtpFec => SRTP_FEC,
        }
    }
}

fn flag(place: &mut bool, name: &'static str) -> Result<(), Error> {
    if std::mem::replace(place, true) { Err(Error::RepeatedParameter(Quoted::known(name))) } else { Ok(()) }
}

fn set<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), Error> {
    match place.replace(value) {
        Some(_) => Err(Error::RepeatedParameter(Quoted::known(name))),
        None => Ok(()),
    }
}
