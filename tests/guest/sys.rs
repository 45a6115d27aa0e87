//! The calls of the system that Rust's library has no function for.

use std::{
    ffi::{CString, c_char, c_int, c_long, c_uint, c_ulong, c_void},
    fs::File,
    io::{Error, Result},
    os::fd::{AsRawFd as _, FromRawFd as _},
    ptr::null_mut,
};

pub const BIND: c_ulong = 0x1000;
pub const MOVE: c_ulong = 0x2000;
/// Every mount below keeps to itself.
pub const PRIVATE: c_ulong = 0x4_4000;
pub const DETACH: c_int = 2;
/// Namespaces.
pub const MOUNTS: c_int = 0x2_0000;
pub const USERS: c_int = 0x1000_0000;
pub const NON_BLOCKING: c_int = 0x800;

unsafe extern "C" {
    safe fn fork() -> c_int;
    safe fn kill(pid: c_int, signal: c_int) -> c_int;
    safe fn unshare(flags: c_int) -> c_int;
    safe fn pause() -> c_int;
    safe fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    safe fn flock(fd: c_int, operation: c_int) -> c_int;
    safe fn setpriority(which: c_int, who: c_uint, priority: c_int) -> c_int;
    safe fn _exit(status: c_int) -> !;
    safe fn iopl(level: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn execv(path: *const c_char, arguments: *const *const c_char) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn ptrace(request: c_int, ...) -> c_long;
    #[link_name = "mount"]
    fn c_mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn mmap(
        at: *mut c_void,
        length: usize,
        access: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn mprotect(at: *mut c_void, length: usize, access: c_int) -> c_int;
    fn sethostname(name: *const c_char, length: usize) -> c_int;
    fn tcgetattr(fd: c_int, settings: *mut c_void) -> c_int;
    fn tcsetattr(fd: c_int, when: c_int, settings: *const c_void) -> c_int;
    fn cfmakeraw(settings: *mut c_void);
}

fn check(result: c_int) -> Result<c_int> {
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Calls by number return the same way.
fn check_call<const N: usize>(number: c_long, arguments: [usize; N]) -> Result<c_long> {
    let [a, b, c, d, e] = std::array::from_fn(|at| arguments.get(at).copied().unwrap_or(0));
    // SAFETY: the callers pass what the call wants: numbers, or addresses of strings that end in NUL.
    let result = unsafe { syscall(number, a, b, c, d, e) };
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn text(bytes: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::from_raw_os_error(22))
}

pub enum Forked {
    Child,
    Parent(c_int),
}

/// There is one thread: the copy can do what the original can.
pub fn split() -> Result<Forked> {
    Ok(match check(fork())? {
        0 => Forked::Child,
        child => Forked::Parent(child),
    })
}

pub fn end(status: c_int) -> ! {
    _exit(status)
}

pub fn wait_forever() {
    loop {
        pause();
    }
}

pub fn wait_for(child: c_int) -> c_int {
    let mut status = 0;
    // SAFETY: the status is written to a number that lives longer than the call.
    while unsafe { waitpid(child, &raw mut status, 0) } < 0
        && Error::last_os_error().raw_os_error() == Some(4)
    {}
    status
}

pub fn signal(process: c_int, number: c_int) -> Result<()> {
    check(kill(process, number)).map(drop)
}

/// Two ends, to read and to write, that no program inherits.
pub fn pipe() -> Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: two numbers are written to an array of two; the files then own what nobody else knows.
    unsafe {
        check(pipe2(ends.as_mut_ptr(), 0o2_000_000))?;
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}

pub fn inherit(file: &File) -> Result<()> {
    // SAFETY: sets the flags of a descriptor that is open.
    check(unsafe { fcntl(file.as_raw_fd(), 2, 0) }).map(drop)
}

/// Gives programs the file under this number.
pub fn inherit_as(file: &File, fd: c_int) -> Result<()> {
    // SAFETY: closes what was there before, and nothing that Rust owns: the guest has few files.
    check(unsafe { dup2(file.as_raw_fd(), fd) }).map(drop)
}

pub fn adopt(fd: c_int) -> File {
    // SAFETY: nobody else has the descriptor: it is new, or was passed by the program that started this one.
    unsafe { File::from_raw_fd(fd) }
}

/// Makes the files the standard input, and output and error.
pub fn redirect(input: &File, output: &File) -> Result<()> {
    for (fd, file) in [input, output, output].into_iter().enumerate() {
        // SAFETY: closes what was there before, and nothing that Rust owns.
        check(unsafe { dup2(file.as_raw_fd(), fd as c_int) })?;
    }
    Ok(())
}

/// Runs a program by its own name. Returns only with an error.
pub fn execute(program: &[u8], arguments: &[Vec<u8>]) -> Error {
    execute_called(program, &[&[program.to_vec()], arguments].concat())
}

/// Runs a program that is told another name: the first of its arguments. Returns only with an error.
pub fn execute_called(program: &[u8], arguments: &[Vec<u8>]) -> Error {
    let run = || -> Result<Error> {
        let program = text(program)?;
        let list = List::new(arguments)?;
        // SAFETY: strings that end in NUL in a list that does.
        unsafe { execv(program.as_ptr(), list.pointers.as_ptr()) };
        Ok(Error::last_os_error())
    };
    run().unwrap_or_else(|error| error)
}

/// Strings as a program gets them.
struct List {
    pointers: Vec<*const c_char>,
    /// What they point to.
    _strings: Vec<CString>,
}

impl List {
    fn new(words: &[Vec<u8>]) -> Result<Self> {
        let words = words.iter().map(|word| text(word.as_slice()));
        let strings: Vec<CString> = words.collect::<Result<_>>()?;
        let mut pointers: Vec<*const c_char> = strings.iter().map(|word| word.as_ptr()).collect();
        pointers.push(null_mut());
        Ok(Self {
            pointers,
            _strings: strings,
        })
    }
}

pub fn mount(
    source: impl Into<Vec<u8>>,
    target: impl Into<Vec<u8>>,
    kind: impl Into<Vec<u8>>,
    flags: c_ulong,
) -> Result<()> {
    let [source, target, kind] = [text(source)?, text(target)?, text(kind)?];
    // SAFETY: strings that end in NUL.
    let result = unsafe {
        c_mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            null_mut(),
        )
    };
    check(result).map(drop)
}

pub fn unmount(target: &[u8], flags: c_int) -> Result<()> {
    let target = text(target)?;
    // SAFETY: a string that ends in NUL.
    check(unsafe { umount2(target.as_ptr(), flags) }).map(drop)
}

pub fn pivot_root(new: &[u8], old: &[u8]) -> Result<()> {
    let [new, old] = [text(new)?, text(old)?];
    check_call(155, [new.as_ptr() as usize, old.as_ptr() as usize, 0, 0]).map(drop)
}

pub fn new_namespace(flags: c_int) -> Result<()> {
    check(unshare(flags)).map(drop)
}

/// By the calls themselves: the library would do it for all threads, with signals.
pub fn become_user(user: u32) -> Result<()> {
    let user = user as usize;
    check_call(116, [0; 4])?;
    check_call(119, [user, user, user, 0])?;
    check_call(117, [user, user, user, 0]).map(drop)
}

pub fn set_user(user: usize) -> Result<()> {
    check_call(105, [user, 0, 0, 0]).map(drop)
}

pub fn set_group(group: usize) -> Result<()> {
    check_call(106, [group, 0, 0, 0]).map(drop)
}

pub fn open_socket(family: c_int, kind: c_int, protocol: c_int) -> Result<()> {
    check(socket(family, kind, protocol)).map(adopt).map(drop)
}

pub fn lock(file: &File) -> Result<()> {
    check(flock(file.as_raw_fd(), 2 | 4)).map(drop)
}

/// Maps a page of a file as code, and nothing else.
pub fn map_as_code(file: &File) -> Result<()> {
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let address = unsafe { mmap(null_mut(), 4096, 4, 2, file.as_raw_fd(), 0) };
    if address as isize == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Attaches without stopping it.
pub fn trace(process: c_int) -> Result<()> {
    // SAFETY: attaching touches no memory of this process.
    let result = unsafe { ptrace(0x4206, process, 0_usize, 0_usize) };
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}

pub fn host_name(name: &str) -> Result<()> {
    // SAFETY: as many bytes as there are.
    check(unsafe { sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

pub fn hurry() -> Result<()> {
    check(setpriority(0, 0, -1)).map(drop)
}

pub fn ports() -> Result<()> {
    check(iopl(3)).map(drop)
}

/// Neither call does anything with these arguments, but first they ask for the capability.
pub fn load_no_module() -> Result<()> {
    check_call(175, [0; 4]).map(drop)
}

pub fn boot_nothing() -> Result<()> {
    check_call(169, [0; 4]).map(drop)
}

/// Sets the time zone of the kernel to what it is: nothing changes.
pub fn set_time() -> Result<()> {
    let zone = [0_i32; 2];
    check_call(164, [0, zone.as_ptr() as usize, 0, 0]).map(drop)
}

pub fn make_device(path: &[u8], number: usize) -> Result<()> {
    let path = text(path)?;
    check_call(133, [path.as_ptr() as usize, 0o020_666, number]).map(drop)
}

/// One byte out is one byte on the line: no carriage returns.
pub fn make_raw(port: &File) {
    let mut settings = [0_u64; 32];
    let address = settings.as_mut_ptr().cast();
    // SAFETY: there is more room than the settings of a terminal take.
    unsafe {
        tcgetattr(port.as_raw_fd(), address);
        cfmakeraw(address);
        tcsetattr(port.as_raw_fd(), 0, address);
    }
}

/// A file without a name that programs can be written to.
pub fn memory_file(name: &str) -> Result<File> {
    let name = text(name)?;
    Ok(adopt(
        check_call(319, [name.as_ptr() as usize, 0])? as c_int
    ))
}

/// The same with the program of a folder that is open, or with an empty path the open file itself.
pub fn execute_at(folder: &File, program: &str, arguments: &[Vec<u8>]) -> Error {
    let run = || -> Result<Error> {
        let program = text(program)?;
        let [list, environment] = [List::new(arguments)?, List::new(&[])?];
        let [folder, program, list, environment] = [
            folder.as_raw_fd() as usize,
            program.as_ptr() as usize,
            list.pointers.as_ptr() as usize,
            environment.pointers.as_ptr() as usize,
        ];
        check_call(322, [folder, program, list, environment, EMPTY_PATH])?;
        Ok(Error::last_os_error())
    };
    run().unwrap_or_else(|error| error)
}

/// Each gets the other's name.
pub fn exchange(first: &str, second: &str) -> Result<()> {
    let [first, second] = [text(first)?, text(second)?];
    let [first, second] = [first.as_ptr() as usize, second.as_ptr() as usize];
    check_call(316, [HERE, first, HERE, second, 2]).map(drop)
}

pub fn truncate(path: &str) -> Result<()> {
    let path = text(path)?;
    check_call(76, [path.as_ptr() as usize, 0]).map(drop)
}

/// Opens a file to write by what the file system knows it by, not by its name.
pub fn open_by_handle(path: &str) -> Result<File> {
    let (path, folder) = (text(path)?, File::open("/")?);
    let (mut handle, mut mount) = ([0_u32; 34], 0_i32);
    // How many bytes there are for it, after two numbers.
    handle[0] = 128;
    let address = handle.as_mut_ptr() as usize;
    check_call(303, [HERE, path.as_ptr() as usize, address, &raw mut mount as usize, 0])?;
    let folder = folder.as_raw_fd() as usize;
    Ok(adopt(check_call(304, [folder, address, 1])? as c_int))
}

/// A copy of a mount that is attached nowhere.
pub fn clone_mount(path: &str) -> Result<File> {
    let path = text(path)?;
    Ok(adopt(
        check_call(428, [HERE, path.as_ptr() as usize, 1])? as c_int
    ))
}

/// Attaches such a copy.
pub fn attach_mount(mount: &File, path: &str) -> Result<()> {
    let (path, nothing) = (text(path)?, text("")?);
    let [path, nothing] = [path.as_ptr() as usize, nothing.as_ptr() as usize];
    // The first path is empty: the descriptor is what is moved.
    check_call(429, [mount.as_raw_fd() as usize, nothing, HERE, path, 4]).map(drop)
}

/// Memory to read and write that becomes code afterwards, of a file or of none, as just-in-time compilers make it.
pub fn turn_into_code(file: Option<&File>) -> Result<()> {
    let (fd, flags) = file.map_or((-1, 0x20), |file| (file.as_raw_fd(), 0));
    // SAFETY: a new mapping, at an address of the kernel's choice, that nothing else uses.
    let made = unsafe {
        let address = mmap(null_mut(), 4096, 3, 2 | flags, fd, 0);
        if address as isize == -1 {
            return Err(Error::last_os_error());
        }
        mprotect(address, 4096, 5)
    };
    check(made).map(drop)
}

/// What relative paths are of.
const HERE: usize = -100_isize as usize;
const EMPTY_PATH: usize = 0x1000;
