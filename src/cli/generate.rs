//! `armorgate generate`: from an image to the profile that runs what it declares and nothing else.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use super::{Done, print, warn};
use crate::{
    compare::{Baseline, Runtime},
    image::{
        self, Cache, Image, ImageSource, Options, Platform,
        registry::{CredentialSource, HostPattern, Mirror, RegistryOptions},
    },
    report::whitelist::{Made, human, json},
    whitelist::{
        CodeRule, Enforcement, Mounts, Outcome, PodVariable, Slug, Stage, Whitelist, Workload,
        analyse, can_read_scripts,
    },
};

/// Make the AppArmor profile that runs what an image declares, and nothing else
///
/// Reads the image without running it, follows its entrypoint to the programs that it needs, and writes the runtime's default
/// profile with execution narrowed to those. What a whitelist can promise and what not: docs/whitelist.md.
///
/// Exit code 0: a profile, perhaps with unknowns, which are told on standard error. 1: no list is worth enforcing, and why.
/// 2: the image could not be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  armorgate generate redis:8                              from a registry
  armorgate generate oci:build/redis:latest               from a folder, before it is pushed
  armorgate generate docker-archive:redis.tar -o human    a page to review
  armorgate generate redis:8 --command redis-server --probe '[\"redis-cli\",\"ping\"]'
  armorgate generate redis:8 --stage audit                forbids nothing yet, logs every exec")]
pub(super) struct Generate {
    /// A registry's image, `oci:DIR[:TAG]`, or `docker-archive:FILE[:NAME]`
    image: String,
    /// `command` of the pod, a word each
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    command: Vec<String>,
    /// `args` of the pod, a word each
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// A variable of the pod; without `=VALUE` one whose value is not known
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// `workingDir` of the pod
    #[arg(long, value_name = "DIR")]
    working_dir: Option<String>,
    /// The command of an exec probe, as a JSON array
    #[arg(long, value_name = "JSON")]
    probe: Vec<String>,
    /// The command of a lifecycle hook, as a JSON array
    #[arg(long, value_name = "JSON")]
    hook: Vec<String>,
    /// A program that may be executed besides
    #[arg(long, value_name = "PATH")]
    allow_exec: Vec<String>,
    /// Which of an image's platforms; without it, Linux on this machine's architecture
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// The runtime's default to begin with
    #[arg(long, value_name = "RUNTIME[@VERSION]", default_value_t = Baseline::newest(Runtime::Containerd))]
    baseline: Baseline,
    /// What the profile does
    #[arg(long, value_enum, default_value_t = StageName::Enforce)]
    stage: StageName,
    /// From where code may be mapped
    #[arg(long, value_enum, default_value_t = CodeName::Image)]
    code: CodeName,
    /// What becomes of CAP_SYS_ADMIN, with which files get other names
    #[arg(long, value_enum, default_value_t = MountsName::Closed)]
    mounts: MountsName,
    /// What the profile is called after; without it, the image
    #[arg(long)]
    name: Option<String>,
    /// Where layers that were read are kept; without it, the user's own cache
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Keep nothing
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    registry: RegistryArguments,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Profile)]
    output: Format,
}

/// How registries are reached. A registry with a private, loopback or link-local address is refused unless it is named.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
struct RegistryArguments {
    /// A host that may have a private address
    #[arg(long, value_name = "HOST[:PORT]")]
    private_host: Vec<HostPattern>,
    /// A host that is asked without encryption
    #[arg(long, value_name = "HOST[:PORT]")]
    insecure_host: Vec<HostPattern>,
    /// What is asked before a registry
    #[arg(long, value_name = "HOST=MIRROR[/PATH]")]
    mirror: Vec<String>,
    /// Certificates of authorities beside the system's, a PEM file
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// A file of credentials; without it, Docker's own
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The profile
    Profile,
    /// A page to review
    Human,
    /// All facts, and the profile in them
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StageName {
    /// Permits what the default permits, and logs every exec
    Audit,
    /// Forbids what is not on the list
    Enforce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CodeName {
    /// From every file, as the default permits
    Any,
    /// From where the image holds libraries and programs
    Image,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MountsName {
    /// It is denied
    Closed,
    /// It stays, for a container that was given it
    Open,
}

impl Generate {
    pub(super) fn run(&self) -> anyhow::Result<Done> {
        self.refuse_nonsense()?;
        can_read_scripts().context(
            "scripts are read on a stack of 256 MiB, which cannot be had: raise the limit on memory (`ulimit -d`, `ulimit -v`)",
        )?;
        let source: ImageSource = self.image.parse()?;
        let options = self.options()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        let image = runtime.block_on(image::read(&source, &options))?;
        let whitelist = analyse(&image.config, &image.tree, &self.workload()?);
        self.refuse_absent(&whitelist)?;
        if matches!(whitelist.outcome, Outcome::NotWhitelistable { .. }) {
            self.show(Made {
                image: &image,
                whitelist: &whitelist,
                profile: None,
            })?;
            return Ok(Done::Refused);
        }
        let inputs = whitelist.enforced(&image.tree, self.enforcement(&image, &whitelist))?;
        let generated = inputs.generate()?;
        self.show(Made {
            image: &image,
            whitelist: &whitelist,
            profile: Some((&inputs, &generated)),
        })?;
        Ok(Done::Fine)
    }

    fn show(&self, made: Made<'_>) -> anyhow::Result<()> {
        match (self.output, made.profile) {
            (Format::Human, _) => print(&human(made))?,
            (Format::Json, _) => print(&json(made)?)?,
            (Format::Profile, Some((_, generated))) => {
                for gap in &made.whitelist.unknowns {
                    let place = gap.place.as_ref();
                    let place = place.map_or_else(String::new, |place| {
                        format!("{}:{}: ", place.file, place.line)
                    });
                    warn(&format!("{place}{}", gap.what));
                }
                print(&generated.text)?;
            }
            // Why there is none, where the profile would stand in a pipe.
            (Format::Profile, None) => super::print_error(&human(made))?,
        }
        Ok(())
    }

    /// Refuses what can only be a slip: an empty variable of a shell, a path that is none.
    fn refuse_nonsense(&self) -> anyhow::Result<()> {
        if self.command.first().is_some_and(String::is_empty) {
            bail!("--command: the first word is the program, and must not be empty");
        }
        for variable in &self.env {
            let name = variable.split('=').next().unwrap_or_default();
            if name.is_empty() || name.contains('\0') {
                bail!("--env `{variable}`: write NAME=VALUE, or NAME where the value is not known");
            }
        }
        for path in &self.allow_exec {
            if !path.starts_with('/') {
                bail!("--allow-exec `{path}`: write an absolute path");
            }
        }
        if self
            .working_dir
            .as_ref()
            .is_some_and(|folder| !folder.starts_with('/'))
        {
            bail!("--working-dir: write an absolute path");
        }
        let has_letters = |name: &String| name.bytes().any(|byte| byte.is_ascii_alphanumeric());
        if self.name.as_ref().is_some_and(|name| !has_letters(name)) {
            bail!("--name: must hold a letter or a digit");
        }
        for (option, commands) in [("--probe", &self.probe), ("--hook", &self.hook)] {
            for words in words(option, commands)? {
                if words.first().is_none_or(String::is_empty) {
                    bail!("{option}: the first word is the program, and must not be empty");
                }
            }
        }
        Ok(())
    }

    /// Refuses programs that were asked for and that the image lacks.
    fn refuse_absent(&self, whitelist: &Whitelist) -> anyhow::Result<()> {
        for path in &self.allow_exec {
            let what = format!("`{path}` was asked for and is no program of the image");
            if whitelist.notes.iter().any(|note| note.what == what) {
                bail!("--allow-exec {what}");
            }
        }
        Ok(())
    }

    fn workload(&self) -> anyhow::Result<Workload> {
        let env = self.env.iter().map(|variable| {
            let (name, value) = match variable.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (variable.as_str(), None),
            };
            PodVariable {
                name: name.to_owned(),
                value,
            }
        });
        Ok(Workload {
            command: self.command.clone(),
            args: self.arg.clone(),
            env: env.collect(),
            working_dir: self.working_dir.clone(),
            probes: words("--probe", &self.probe)?,
            hooks: words("--hook", &self.hook)?,
            allow_exec: self.allow_exec.clone(),
            ..Workload::default()
        })
    }

    fn enforcement(&self, image: &Image, whitelist: &Whitelist) -> Enforcement {
        let slug = match &self.name {
            Some(name) => Slug::of(name),
            None => called(&image.reference),
        };
        let starts = whitelist.starts.iter().map(ToString::to_string);
        Enforcement {
            slug,
            baseline: self.baseline,
            code_rule: match self.code {
                CodeName::Any => CodeRule::Any,
                CodeName::Image => CodeRule::Only,
            },
            mounts: match self.mounts {
                MountsName::Closed => Mounts::Closed,
                MountsName::Open => Mounts::Open,
            },
            stage: match self.stage {
                StageName::Audit => Stage::Audit,
                StageName::Enforce => Stage::Enforce,
            },
            sources: std::iter::once(format!("image {}", image.digest))
                .chain(starts)
                .collect(),
        }
    }

    fn options(&self) -> anyhow::Result<Options> {
        let cache = if self.no_cache {
            None
        } else {
            self.cache.clone().or_else(Cache::default_folder)
        };
        Ok(Options {
            platform: self.platform.clone(),
            cache: cache.map(|folder| Cache::new(folder, Cache::MAX_BYTES)),
            registry: self.registry.options()?,
            ..Options::default()
        })
    }
}

impl RegistryArguments {
    fn options(&self) -> anyhow::Result<RegistryOptions> {
        let mut options = RegistryOptions {
            private_hosts: self.private_host.clone(),
            insecure_hosts: self.insecure_host.clone(),
            ..RegistryOptions::default()
        };
        for mirror in &self.mirror {
            let (host, mirror) = mirror
                .split_once('=')
                .with_context(|| format!("--mirror {mirror}: write HOST=MIRROR"))?;
            let mirror: Mirror = mirror.parse()?;
            options
                .mirrors
                .entry(host.to_owned())
                .or_default()
                .push(mirror);
        }
        for file in &self.ca {
            let text = fs::read(file).with_context(|| format!("--ca {}", file.display()))?;
            options.certificate_authorities.push(text);
        }
        options.credentials = match &self.auth_file {
            Some(file) => vec![CredentialSource::File(file.clone())],
            None => CredentialSource::docker().into_iter().collect(),
        };
        Ok(options)
    }
}

/// What an image is called: a folder or file by its own name, without the path to it.
fn called(source: &ImageSource) -> Slug {
    let stem = |path: &std::path::Path| {
        let stem = path.file_stem().unwrap_or_default();
        Slug::of(&stem.to_string_lossy())
    };
    match source {
        ImageSource::DockerArchive {
            name: Some(name), ..
        } => Slug::of_image(name),
        ImageSource::DockerArchive { file, .. } => stem(file),
        ImageSource::OciLayout { folder, .. } => stem(folder),
        ImageSource::Registry(reference) => Slug::of_image(&reference.to_string()),
    }
}

/// Commands, each a JSON array of words.
fn words(option: &str, commands: &[String]) -> anyhow::Result<Vec<Vec<String>>> {
    commands
        .iter()
        .map(|command| {
            serde_json::from_str(command).map_err(|_| {
                anyhow!(
                    "{option} {command}: write a JSON array of words, `[\"redis-cli\",\"ping\"]`"
                )
            })
        })
        .collect()
}
