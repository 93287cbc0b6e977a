"""What the database refuses, in words for the person who asked.

Rules live in the database as constraints; this is their other half: one
sentence for each constraint that a user or an administrator can meet.
"""

from __future__ import annotations

import re

import psycopg2
import psycopg2.errorcodes as codes

from invirt import config
from invirt.base.abilities import HYPERVISORS, NEEDS, STORAGES
from invirt.base.errors import BadInput, Busy, InvirtError, NoRoom, Unreachable


class Conflict(Busy):
    """Another transaction came in between; the same one may pass when it is run again."""


SENTENCES = {
    "short_name": "a name is 1 to 63 of a-z, 0-9 and -, with no - at either end",
    "full_name": "a host name is small letters, digits and -, in parts with dots between",
    "principal": "a principal looks like alice@EXAMPLE.ORG or alice/admin@EXAMPLE.ORG",
    "one_line": "a text is one line of at most 1000 characters",
    "file_path": "a path begins with / and holds only letters, digits and . _ / + -",
    "owner_name": "an owner's name is letters, digits and . _ / @ + -, or KIND:NAME, as unix:staff",
    "source_kind": "a source is of a kind that invirt.yaml names in owners.sources",
    "source_name": "a source's name is letters, digits and . _ / @ + = , -, and no sign comes first",
    "sources_pkey": "this owner has a source already",
    "offer_name": "a machine is offered to an owner, whose name is at most 255 letters",
    "request_resource": "a quota is of machines, running, memory, disk, cpus or addresses",
    "request_amount": "a quota is 0 or more",
    "quota_resource": "a quota is of machines, running, memory, disk, cpus or addresses",
    "quota_amount": "a quota is 0 or more",
    "owner_memory": "a quota is 0 or more",
    "owner_disk": "a quota is 0 or more",
    "owner_machines": "a quota is 0 or more",
    "host_memory": "a host's memory for guests is 0 MiB or more",
    "host_hypervisor": f"a host's hypervisor is one of {', '.join(HYPERVISORS)}",
    "pool_driver": f"a pool's driver is one of {', '.join(STORAGES)}",
    "pool_place": "a pool's place is a volume group (lvm), GROUP/POOL (thin) or a folder from / (file)",
    "pool_whole": "a pool has both a driver and a place",
    "pools_name_key": "there is a pool of this name already",
    "pool_hosts_pkey": "this host sees the pool already",
    "type_virt": "a type's virt is pv, pvh or hvm",
    "type_needs": f"a type's machines may need one of {', '.join(NEEDS)}",
    "autoinstalls_name_key": "there is a system of this name already",
    "autoinstall_url": "a system's URL is http://SERVER/FOLDER, maybe with a port and more folders",
    "autoinstall_keyring": "a keyring is 1 to 65536 bytes",
    "autoinstall_suite": "a system's suite is a-z, 0-9 and . + - (not first), at most 63 letters; or empty",
    "autoinstall_mirror": "a system's mirror is http://SERVER/FOLDER, or https; or empty",
    "autoinstall_architecture": "hosts of this version boot systems of amd64 alone",
    "autoinstall_script": "a system's script begins with #!/ and has at most 65536 letters",
    "autoinstall_memory": "a system needs at least 1 MiB of memory",
    "autoinstall_disk": "a system needs a disk of at least 1 GiB",
    "reservation_memory": "a reservation is of at least 1 MiB",
    "machine_memory": "a machine's memory is at least 1 MiB",
    "machine_cpus": "a machine has at least 1 CPU",
    "apart_one_owner": "machines are kept apart from others of the same owner",
    "apart_one_owner_too": "machines are kept apart from others of the same owner",
    "machine_priority": "a machine's priority is 0 to 9",
    "disk_name": "a disk is called hda, hdb, … hdz",
    "disk_size": "a disk is at least 1 GiB",
    "nic_mac": "a MAC is locally administered (02:…) or begins with 00:16:3e",
    "nic_ip": "an address is one IPv4 address",
    "nic_ip6": "an IPv6 address is one global (2000::/3) or unique local (fc00::/7) address",
    "range_form": "a range is IPv4 addresses with a prefix of 8 to 32",
    "range_order": "a range's first address comes before its last",
    "range_gateway": "a range must not hold its own gateway",
    "range_network": "a range and its gateway lie in one network, whose first and last address are kept out",
    "range_overlap": "the range overlaps with another one",
    "machines_name_key": "there is a machine of this name already",
    "hosts_name_key": "there is a host of this name already",
    "hosts_hostname_key": "there is a host of this host name already",
    "owners_name_key": "there is an owner of this name already",
    "types_name_key": "there is a type of this name already",
    "members_pkey": "this principal is a member already",
    "administrators_pkey": "this principal is an administrator already",
    "machine_access_pkey": "this principal has access already",
    "reserved_names_pkey": "this name is reserved already",
    "disks_name_key": "the machine has a disk of this name already",
    "nics_mac_addr_key": "a machine with this MAC exists already",
    "nics_ip_key": "a machine with this address exists already",
    "nics_hostname_key": "a machine with this host name exists already",
    "public_key": "a public key is its type and its base64, e.g. ssh-ed25519 AAAA…, without a comment",
    "public_keys_pkey": "this principal has this key already",
    "api_tokens_name_key": "you have a token of this name already",
    "token_lasts": "a token lasts at least a day and at most 366",
    "look_lasts": "a look lasts an hour at most",
    "nics_ip6_key": "a machine with this IPv6 address exists already",
    "hostnames_pkey": "a machine has this name already",
    "record_name": "a record's name is small letters, digits, - and _, in parts with dots between",
    "record_content": "a record's content is one line of at most 2000 printable characters",
    "record_wildcard": "a delegation is of one name: NS and DS can't be at *",
    "extra_records_key": "there is this record already",
    "person": "a computer (host/…, SERVICE/ITS.NAME@REALM) owns no machine and is let into none",
    "short_texts": "a text is longer than may be kept",
    "operations_request_key": "this request was made already",
}

RECORDS = {
    "A": "an IPv4 address: 192.0.2.1",
    "AAAA": "an IPv6 address: 2001:db8::1",
    "CAA": 'flags, a word and a text in quotes: 0 issue "ca.example.org"',
    "CNAME": "a name: www.example.org",
    "DS": "a key's tag, algorithm, kind of digest (1, 2 or 4) and digest, of as many letters as its kind has",
    "HTTPS": (
        'a priority, a name or . and, in this order, alpn="h2,h3" no-default-alpn port=443'
        " ipv4hint=192.0.2.1 ipv6hint=2001:db8::1; with priority 0, the name alone"
    ),
    "LOC": "a place, all of it in numbers: 42 21 43.500 N 71 5 6.300 W -24m 30m",
    "MX": "a number and a name: 10 mail.example.org; 0 . for no mail at all",
    "NAPTR": (
        'an order, a preference, flags and service in quotes, and "" and a name, or an expression without'
        ' groups and .: 10 20 "u" "E2U+sip" "!^.*$!sip:info@example.org!" .'
    ),
    "NS": "a name: ns.example.org",
    "PTR": "a name: www.example.org",
    "SRV": "priority, weight, port and a name: 0 5 5060 sip.example.org; or . for no such service",
    "SSHFP": "a key's algorithm, kind of digest (1 or 2) and digest, of as many letters as its kind has",
    "TLSA": "usage, selector, kind of digest and digest: 3 1 1 0123abcd…",
    "TXT": 'texts of at most 255 letters, each in quotes: "two words"; within, \\" is a quote',
    "URI": 'priority, weight and an address in quotes: 10 1 "https://example.org/"',
}
RECORDS["SVCB"] = RECORDS["HTTPS"]
SENTENCES["record_type"] = f"a record's type is one of {' '.join(sorted(RECORDS))}"
SENTENCES |= {
    f"record_form_{type.lower()}": f"the content of {type} is {form}" for type, form in RECORDS.items()
}

TYPES = {"inet": "an address", "macaddr": "a MAC address"}

RUN_AGAIN = {codes.SERIALIZATION_FAILURE, codes.DEADLOCK_DETECTED}
# Integrity constraints (23), values out of range or of another form (22).
REFUSED = ("22", "23")


def explain(error: psycopg2.Error) -> Exception:
    """The InvirtError to raise for error; error itself when it is a bug of ours."""
    code, said = error.pgcode or "", error.diag
    if code == codes.RAISE_EXCEPTION:
        return _from_trigger(error)
    if said.constraint_name == "operations_open":
        return Busy("something else is being done to this machine", hint="Try again when it is finished.")
    if code in RUN_AGAIN:
        return Conflict("someone else changed the same thing at the same moment", hint="Try again.")
    if code == codes.LOCK_NOT_AVAILABLE:
        return Busy("someone else is changing the same thing", hint="Try again.")
    if code.startswith(REFUSED):
        sentence = SENTENCES.get(said.constraint_name or "") or _plain(said.message_primary or "")
        shown = code in (codes.UNIQUE_VIOLATION, codes.FOREIGN_KEY_VIOLATION)  # others show the whole row
        return BadInput(sentence, hint=(said.message_detail or "") if shown else "")
    if code == codes.QUERY_CANCELED or isinstance(
        error, (psycopg2.OperationalError, psycopg2.InterfaceError)
    ):
        reason = " ".join(str(error).split()) or "no reason given"
        return Unreachable(f"the database failed: {reason}", hint="Try again in a minute.")
    return error


def _plain(message: str) -> str:
    """What PostgreSQL says of a value that is of another type than its column."""
    wrong = re.fullmatch(r'invalid input syntax for type (\w+): (".*")', message, re.DOTALL)
    if wrong:
        return f"{wrong[2]} is not {TYPES.get(wrong[1], wrong[1])}"
    if message.endswith("out of range") or "out of range for type" in message:
        return "a number is too large or too small: it is at most 2147483647"
    return message or "refused by the database"


def _from_trigger(error: psycopg2.Error) -> InvirtError:
    """Our own triggers' messages are meant for people already."""
    message, hint = error.diag.message_primary or str(error), error.diag.message_hint or ""
    if error.diag.constraint_name == "no_room":
        return NoRoom(message, hint=hint or f"Make do with less, or ask {config.site.contact} for more.")
    return BadInput(message, hint)
