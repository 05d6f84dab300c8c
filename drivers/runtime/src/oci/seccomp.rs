//! System call policies as the runtime-spec has them: Docker's profile format resolved for one container, and the engine's
//! own policy spelled out for other runtimes.

use serde::Deserialize;
use serde_json::{Value, json};

/// Docker's profile format: the runtime-spec's, with conditions on who gets a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Vec<String>,
    arch_map: Vec<Architecture>,
    flags: Vec<String>,
    syscalls: Option<Vec<Rule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Architecture {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    name: String,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Value>>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    arches: Option<Vec<String>>,
    caps: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Whom a profile is resolved for.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The container's capabilities.
    pub capabilities: &'a [&'static str],
    /// The kernel's first two numbers.
    pub kernel: (u32, u32),
}

/// The machine, in the profile's two spellings.
const NATIVE: (&str, &str) = ("amd64", "SCMP_ARCH_X86_64");

/// `4.8` of `4.8.0-rc1`.
pub fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Condition {
    /// Whether each kind of condition that is given holds; `caps` of those held: all for an inclusion, any for an exclusion.
    fn parts(&self, holder: Holder<'_>) -> Result<[Option<Vec<bool>>; 3], String> {
        let list = |l: &Option<Vec<String>>| l.clone().filter(|l| !l.is_empty());
        let newer = match &self.min_kernel {
            None => None,
            Some(text) => {
                let least = kernel(text).ok_or_else(|| format!("invalid kernel version {text:?}"))?;
                Some(vec![holder.kernel >= least])
            }
        };
        let caps = list(&self.caps);
        let held = caps.map(|c| c.iter().map(|c| holder.capabilities.contains(&c.as_str())).collect());
        let arches = list(&self.arches).map(|a| vec![a.iter().any(|a| a == NATIVE.0)]);
        Ok([arches, held, newer])
    }
}

impl Rule {
    fn applies(&self, holder: Holder<'_>) -> Result<bool, String> {
        if let Some(excludes) = &self.excludes
            && excludes.parts(holder)?.iter().flatten().flatten().any(|held| *held)
        {
            return Ok(false);
        }
        match &self.includes {
            Some(includes) => Ok(includes.parts(holder)?.iter().flatten().flatten().all(|held| *held)),
            None => Ok(true),
        }
    }
}

/// A profile's text as `linux.seccomp`; `None` when it asks for nothing. The error is Docker's text.
pub fn resolve(text: &str, holder: Holder<'_>) -> Result<Option<Value>, String> {
    let profile: Profile =
        serde_json::from_str(text).map_err(|e| format!("Decoding seccomp profile failed: {e}"))?;
    let rules = profile.syscalls.unwrap_or_default();
    if profile.default_action.is_empty() && rules.is_empty() {
        return Ok(None);
    }
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return Err("both 'architectures' and 'archMap' are specified in the seccomp profile, use either \
                    'architectures' or 'archMap'"
            .into());
    }
    let mut architectures = profile.architectures;
    if let Some(own) = profile.arch_map.into_iter().find(|a| a.architecture == NATIVE.1) {
        architectures.push(own.architecture);
        architectures.extend(own.sub_architectures.unwrap_or_default());
    }
    let mut syscalls = Vec::new();
    for rule in rules {
        let mut names = rule.names.clone().unwrap_or_default();
        if !rule.name.is_empty() {
            if !names.is_empty() {
                return Err(
                    "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or \
                            'names'"
                        .into(),
                );
            }
            names.push(rule.name.clone());
        }
        if rule.applies(holder)? {
            let mut call = json!({ "names": names, "action": rule.action });
            if let Some(map) = call.as_object_mut() {
                if let Some(errno) = rule.errno_ret {
                    map.insert("errnoRet".into(), errno.into());
                }
                if let Some(args) = rule.args.filter(|a| !a.is_empty()) {
                    map.insert("args".into(), args.into());
                }
            }
            syscalls.push(call);
        }
    }
    let mut out = json!({
        "defaultAction": profile.default_action, "architectures": architectures, "syscalls": syscalls,
    });
    if let Some(map) = out.as_object_mut() {
        if let Some(errno) = profile.default_errno_ret {
            map.insert("defaultErrnoRet".into(), errno.into());
        }
        if !profile.flags.is_empty() {
            map.insert("flags".into(), profile.flags.into());
        }
    }
    Ok(Some(out))
}

/// The engine's own policy for holders of `capabilities`, as `linux.seccomp`.
pub fn default(capabilities: &[&str]) -> Value {
    const NEW_NAMESPACES: u64 = 0x7e02_0000;
    let named: Vec<String> = capabilities.iter().map(|c| (*c).to_owned()).collect();
    let mut calls = vec![json!({
        "names": sandbox::seccomp::default_names(sandbox::identity::mask(&named)), "action": "SCMP_ACT_ALLOW",
    })];
    let argument = |name: &str, op: &str, value: u64| {
        json!({
            "names": [name], "action": "SCMP_ACT_ALLOW",
            "args": [{ "index": 0, "value": value, "valueTwo": 0, "op": op }],
        })
    };
    // AF_VSOCK.
    calls.push(argument("socket", "SCMP_CMP_NE", 40));
    for personality in [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        calls.push(argument("personality", "SCMP_CMP_EQ", personality));
    }
    if !capabilities.contains(&"CAP_SYS_ADMIN") {
        calls.push(argument("clone", "SCMP_CMP_MASKED_EQ", NEW_NAMESPACES));
        calls.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": calls,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Holder<'_> = Holder { capabilities: &["CAP_CHOWN", "CAP_SYS_PTRACE"], kernel: (6, 1) };

    fn names(profile: Value) -> Vec<String> {
        let resolved = resolve(&profile.to_string(), HOLDER).unwrap().unwrap();
        let calls = resolved["syscalls"].as_array().unwrap().clone();
        calls.iter().map(|c| c["names"][0].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn rules_go_to_those_they_are_for() {
        let rule = |name: &str, key: &str, condition: Value| json!({ "names": [name], "action": "SCMP_ACT_ALLOW", key: condition });
        let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            rule("always", "comment", json!("")),
            rule("held", "includes", json!({ "caps": ["CAP_CHOWN"] })),
            rule("one-is-not-enough", "includes", json!({ "caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"] })),
            rule("excluded", "excludes", json!({ "caps": ["CAP_SYS_ADMIN", "CAP_CHOWN"] })),
            rule("not-excluded", "excludes", json!({ "caps": ["CAP_SYS_ADMIN"], "arches": ["s390"] })),
            rule("here", "includes", json!({ "arches": ["amd64", "x32"] })),
            rule("elsewhere", "includes", json!({ "arches": ["arm"] })),
            rule("old-enough", "includes", json!({ "minKernel": "4.8" })),
            rule("too-new", "includes", json!({ "minKernel": "6.2" })),
        ]});
        assert_eq!(names(profile), ["always", "held", "not-excluded", "here", "old-enough"]);
    }

    #[test]
    fn the_machines_own_architectures_are_taken_from_the_map() {
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "archMap": [
            { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] },
            { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] },
        ]});
        let resolved = resolve(&profile.to_string(), HOLDER).unwrap().unwrap();
        assert_eq!(resolved["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_dockers_words() {
        let error = resolve("{", HOLDER).unwrap_err();
        assert!(error.starts_with("Decoding seccomp profile failed: "), "{error}");
        assert_eq!(resolve("{}", HOLDER), Ok(None), "a profile that says nothing is none");
        let both = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW" },
        ]});
        assert!(resolve(&both.to_string(), HOLDER).unwrap_err().starts_with("both 'name' and 'names'"));
    }

    #[test]
    fn the_default_policy_is_spelled_out_by_names() {
        let policy = default(&["CAP_SYS_CHROOT"]);
        let allowed = policy["syscalls"][0]["names"].as_array().unwrap();
        let has = |name: &str| allowed.iter().any(|n| n == name);
        for name in ["read", "chroot", "mmap2", "keyctl", "mount", "clone", "socket"] {
            assert_eq!(has(name), ["read", "chroot", "mmap2"].contains(&name), "{name}");
        }
    }
}
