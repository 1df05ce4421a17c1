//! Whose work is measured.

/// An implementation, in one of its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Keyflip, with one set of kernels.
    Ours(Kernel),
    /// A peer, by its name.
    Peer(&'static str),
    /// A peer that runs along and is not measured: so that the others find the caches as they would if it were.
    Bystander(&'static str),
}

/// The kernels that Keyflip encrypts and authenticates with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// They are not what it would have chosen.
    pub(crate) forced: bool,
}

impl Who {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours(_) => "keyflip",
            Self::Peer(name) | Self::Bystander(name) => name,
        }
    }
}
