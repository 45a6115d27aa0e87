//! How much of an image is read at most. Beyond any of these reading ends in an error that names the limit; nothing is cut
//! off in silence, except for texts, of which the first bytes stay.

/// How much of an image is read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one layer's plain tar.
    pub layer_bytes: u64,
    /// Bytes of all layers' plain tars together.
    pub image_bytes: u64,
    /// How many times larger than its blob a layer's plain tar may be, once it is over `ratio_from`.
    pub ratio: u64,
    /// Bytes of a plain tar that need no justification: small tars of zeros shrink to nothing, and cost nothing.
    pub ratio_from: u64,
    /// Layers of an image. Overlay file systems take fewer.
    pub layers: usize,
    /// Entries of all layers together. Overwritten ones count.
    pub entries: usize,
    /// Folders inside of each other.
    pub depth: usize,
    /// Bytes of a path, or of a link's target.
    pub path: usize,
    /// Bytes of all names and targets together.
    pub names: usize,
    /// Bytes of one text that is kept whole.
    pub text: usize,
    /// Bytes of all texts that are kept.
    pub texts: usize,
    /// Bytes of a manifest, index or configuration.
    pub document: usize,
}

impl Limits {
    /// LIMIT: bytes of one name in a folder, as the kernel has it (`NAME_MAX`).
    pub const NAME: usize = 255;
}

impl Default for Limits {
    /// Room for the largest images that are about, and an end to anything made to hurt. Entries, names and texts together
    /// take less than 64 MiB of memory at these limits (`make bench`).
    fn default() -> Self {
        Self {
            layer_bytes: 32 << 30,
            image_bytes: 64 << 30,
            // Deflate ends at 1032; what programs and texts reach is below 20.
            ratio: 200,
            ratio_from: 256 << 20,
            layers: 512,
            entries: 300_000,
            depth: 256,
            // As the kernel has it (`PATH_MAX`).
            path: 4096,
            names: 24 << 20,
            text: 256 << 10,
            texts: 8 << 20,
            document: 4 << 20,
        }
    }
}
