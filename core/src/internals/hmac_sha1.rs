//! HMAC-SHA1, by one kernel or by a set of them.

use crate::kernels::{HmacJob, HmacKernels, Kernel, Kernels, Midstates, TAG_LEN};

/// A key of at most 64 octets.
pub struct HmacKey(Midstates);

impl HmacKey {
    /// The key of these octets. Whatever is beyond 64 is left out.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut midstates = Midstates::vacant();
        midstates.set_key(key);
        Self(midstates)
    }
}

/// One kernel of HMAC-SHA1.
pub struct HmacKernel(Kernel);

impl HmacKernel {
    /// All that this processor has, the portable one first.
    pub fn available() -> impl Iterator<Item = Self> {
        Kernel::available().into_iter().map(Self)
    }

    /// What the kernel is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How many messages it takes at once.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.0.lanes
    }

    /// Computes the MACs of the first messages, as many as there are lanes. Interleaved ones do nothing
    /// unless there is a message for each lane.
    pub fn run(&self, jobs: &mut HmacJobs<'_>) {
        let count = self.0.lanes.min(jobs.0.len());
        if count < self.0.lanes && self.0.only_full {
            return;
        }
        let (jobs, _) = jobs.0.split_at_mut(count);
        (self.0.hmac)(jobs);
    }
}

/// Messages whose MACs are computed side by side.
pub struct HmacJobs<'a>(Vec<HmacJob<'a>>);

impl<'a> HmacJobs<'a> {
    /// Each message with its key and its suffix.
    pub fn new(messages: impl IntoIterator<Item = (&'a HmacKey, &'a [u8], [u8; 4])>) -> Self {
        let job = |(key, message, suffix): (&'a HmacKey, _, _)| HmacJob::new(&key.0, message, suffix);
        Self(messages.into_iter().map(job).collect())
    }

    /// Computes all MACs, by the kernels of a set. What the processor has not, of a set, is done by the portable one.
    pub fn run(&mut self, set: Kernels) {
        HmacKernels::of(set).many(&mut self.0);
    }

    /// The MACs, in the messages' order; zeros before they are computed.
    pub fn tags(&self) -> impl Iterator<Item = &[u8; TAG_LEN]> {
        self.0.iter().map(|job| &job.tag)
    }
}
