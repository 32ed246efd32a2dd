/** The page about flags is written from the flags: `vitest -u` writes it again. */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { FLAGS } from '../src/flags.ts'
import { OLD_NAMES } from '../src/flags/old-names.ts'
import { REFUSED, WITHOUT_MEANING } from '../src/flags/without-meaning.ts'

const PAGE = fileURLToPath(new URL('../../docs/flags.md', import.meta.url))

test('the page of flags is that of the flags', async () => {
  await expect(page()).toMatchFileSnapshot(PAGE)
})

function page(): string {
  return `# Flags of a member

Flags are etcd's. Each is a variable, too (\`--data-dir\` is \`ETCD_DATA_DIR\`), and a flag wins over its
variable; a variable that is empty is not set. With \`--config-file\` (\`ETCD_CONFIG_FILE\`), a file in YAML
says all: its keys are the names of flags and etcd's sections \`client-transport-security\`,
\`peer-transport-security\` and \`discovery-config\`, times may be whole nanoseconds, and flags and variables
beside it are ignored with a warning. A flag or a key that is unknown is an error; an unknown variable is
a warning.

## What they mean

${table(
  ['flag', 'default', 'value', 'meaning'],
  Object.entries(FLAGS).map(([name, flag]) => [
    code(name),
    flag.default === '' ? '' : code(flag.default),
    flag.value === '' ? '`true` or `false`' : code(flag.value),
    flag.help.replace(/ \(default: .*?\)/, ''),
  ]),
)}

Durations are such as \`300ms\`, \`90s\` or \`1h30m\`. Files are PEM. \`--data-dir\` is \`<name>.coracle\` by
default, and \`--auto-compaction-retention\` \`1h\` in the mode \`periodic\`.

## URLs

- All URLs of a flag count, with commas between them: each is listened on, and a member that is not
  found at one of its peer URLs is looked for at the next.
- Where to listen is an IP address or \`localhost\`, or a socket: \`unix:///run/coracle.sock\`, and with TLS
  \`unixs://\`. As in etcd, what looks like a host there (\`unix://localhost:2379\`) is a path, too. A socket
  that was left behind is removed if nobody answers there; all are gone when the member has stopped.
- \`--initial-cluster\` may name this member by another name than \`--initial-advertise-peer-urls\`, if both
  lead to the same address.

## Members found by DNS

With \`--discovery-srv=example.com\`, a member that has not run before asks for the records of
\`_etcd-server-ssl._tcp.example.com\` (\`https\`) and \`_etcd-server._tcp.example.com\` (\`http\`): each names
one founder, as \`--initial-cluster\` would, which must not stand beside it. This member is the one that
\`--initial-advertise-peer-urls\` leads to, by name or by address; if it is none, or if DNS cannot tell, it
does not start. Unless \`--peer-trusted-ca-file\` is given, the certificates of the others must be for the
domain.

## Members that meet at another cluster

With \`--discovery-token\` and \`--discovery-endpoints\`, founders meet at another cluster, of etcd or of
this server: etcd's v3 discovery service. Somebody chooses a token that was not used before, and says how
many founders there will be:

\`\`\`sh
etcdctl --endpoints=http://10.0.0.9:2379 put /_etcd/registry/TOKEN/_config/size 3
\`\`\`

- Each founder puts \`name=url,...\` at \`/_etcd/registry/TOKEN/members/ID\`, unless it is there already, and
  looks every other second until all are there. The first three to come found the cluster; for those after
  them, \`discovery: cluster is full\`. Every founder needs a \`--name\` of its own.
- The token stands for \`--initial-cluster-token\`. \`--initial-cluster\` and \`--discovery-srv\` must not stand
  beside it.
- A cluster that does not answer is asked for ever, at one endpoint after the other, with up to 30s between
  two rounds; each failure is a warning. One that refuses the user, or knows no size, ends the member.
- The scheme of an endpoint decides on TLS. One without a scheme is called with TLS if
  \`--discovery-cert\`, \`--discovery-cacert\` or \`--discovery-insecure-transport=false\` is given.
- A member that has run asks nobody: the other cluster may be gone, and so may the flags.

## TLS

- URLs of \`https\` want a certificate: from \`--cert-file\` and \`--key-file\`, or made here
  (\`--auto-tls\`, in \`<data-dir>/fixtures\`). URLs of both kinds may stand beside each other for clients.
- gRPC, JSON, \`/health\` and \`/metrics\` share a port, by ALPN or without it.
- \`--trusted-ca-file\` means that clients must show a certificate, as in etcd; with
  \`--client-cert-auth\`, its common name is the name of a user.
- Files are looked at every second. New ones hold for every connection from then on; those that make
  no sense, or do not fit together, are told in the log, and the old ones go on.
- A member that calls shows \`--peer-client-cert-file\`, or \`--peer-cert-file\`. Its certificate must be
  for the address it calls from, unless \`--peer-skip-client-san-verification\`: names are looked up.
- Lists of revoked certificates must be signed by the authority and in time; etcd checks neither.
- Members are called with TLS where their URLs are of \`https\`. So a cluster changes over one member
  after the other: give all the \`--peer-*\` files, then update each one's URL and restart it with it.

## Without a meaning here

They are taken, and each that is set is told in one line at the start.

${table(
  ['flag', 'why'],
  Object.entries(WITHOUT_MEANING).map(([name, { why }]) => [code(name), why]),
)}

Of \`--feature-gates\`, those of etcd are known, and \`InitialCorruptCheck\` means something.

## Refused

The member would found another cluster than the one that is meant. ${Object.keys(REFUSED)
    .map((name) => code(name))
    .join(', ')}: ${[...new Set(Object.values(REFUSED).map(({ why }) => why))].join('; ')}.
\`--proxy=off\` and empty values ask for nothing, and are taken.

## Old names

Understood, with a warning: ${[...OLD_NAMES]
    .map(([old, name]) =>
      old === `experimental-${name}` ? code(old) : `${code(old)} (${code(name)})`,
    )
    .join(', ')}.
`
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.join(' | ')} |`.replaceAll('  ', ' ')
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...rows.map(line)].join('\n')
}

/** A bar would end the cell. */
function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``
}
