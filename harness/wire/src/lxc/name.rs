//! Names of the sockets in the abstract namespace.
//!
//! A name here is what follows the leading NUL of the address; the address length counts no
//! terminator. The lxcpath is used byte for byte: no link is resolved and no slash trimmed.

/// The longest name of a socket of lxc-monitord in bytes.
pub const MONITORD_NAME_MAX: usize = 105;

/// How long a name may be and from where on it is hashed; differs between releases.
///
/// ```text
/// length of `<lxcpath>/<name>/command`    ..=plain_max    between    hash_from..
///                                         plain           refused    hashed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameRule {
    /// The longest name in bytes that is used as it is.
    pub plain_max: usize,
    /// The shortest name in bytes that is hashed; `None` where nothing is.
    pub hash_from: Option<usize>,
}

impl NameRule {
    /// 1.0.8 and later, 1.1.4 and later. Measured at 104, 105, 106, 107, 108 and 140 bytes, 4.0.6 to
    /// 7.0.0; before that read in `lxc/lxc`, commit 29769eaf9 (2015-09-25), `fill_sock_name`.
    pub const CURRENT: Self = Self { plain_max: 105, hash_from: Some(106) };
    /// 1.0.6, 1.0.7 and 1.1.0 to 1.1.3: a name of exactly 106 bytes is neither hashed nor short
    /// enough (`lxc/lxc@lxc-1.0.6:src/lxc/commands.c`, `fill_sock_name`).
    pub const HASHED_FROM_107: Self = Self { plain_max: 105, hash_from: Some(107) };
    /// 1.0.0 to 1.0.5: "Name too long" (`lxc/lxc@lxc-1.0.5:src/lxc/commands.c`, `fill_sock_name`).
    pub const NEVER_HASHED: Self = Self { plain_max: 105, hash_from: None };
}

/// A name that the release in question can not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameTooLong {
    /// Its length in bytes.
    pub len: usize,
    /// The longest usable one.
    pub limit: usize,
}

impl std::fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "socket name of {} bytes, limit is {}", self.len, self.limit)
    }
}

impl std::error::Error for NameTooLong {}

/// Name of the command socket of the container `name` under `lxcpath`.
///
/// `<lxcpath>/<name>/command`, or `lxc/<hash>/command` where the rule says so, the hash being
/// [`fnv1a_64`] over `<lxcpath>/<name>` as 16 hexadecimal digits.
///
/// # Errors
/// The rule neither takes the name as it is nor hashes it.
pub fn socket_name(rule: NameRule, lxcpath: &[u8], name: &[u8]) -> Result<Vec<u8>, NameTooLong> {
    let container = [lxcpath, b"/", name].concat();
    let plain = [container.as_slice(), b"/command"].concat();
    if rule.hash_from.is_some_and(|from| plain.len() >= from) {
        return Ok(format!("lxc/{:016x}/command", fnv1a_64(&container)).into_bytes());
    }
    if plain.len() > rule.plain_max {
        return Err(NameTooLong { len: plain.len(), limit: rule.plain_max });
    }
    Ok(plain)
}

/// Name of the socket on which lxc-monitord hands out the state messages of all containers under
/// `lxcpath`: `lxc/<hash>/<lxcpath>`, the hash being over `lxc/<lxcpath>/monitor-sock`.
///
/// # Errors
/// The name is longer than [`MONITORD_NAME_MAX`].
pub fn monitord_socket_name(lxcpath: &[u8]) -> Result<Vec<u8>, NameTooLong> {
    let hash = fnv1a_64(&[b"lxc/".as_slice(), lxcpath, b"/monitor-sock"].concat());
    let name = [format!("lxc/{hash:016x}/").as_bytes(), lxcpath].concat();
    if name.len() > MONITORD_NAME_MAX {
        return Err(NameTooLong { len: name.len(), limit: MONITORD_NAME_MAX });
    }
    Ok(name)
}

/// The 64-bit FNV-1a hash of `bytes` (draft-eastlake-fnv, section 2).
#[must_use]
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}
