/** Clients and members over TLS, with etcd's own client and with plain HTTPS. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readFile, rename, stat } from 'node:fs/promises'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { adminOf } from './admin.ts'
import { Authority, type Files } from './authority.ts'
import { memberClient } from '../src/client.ts'
import { etcdctl, etcdctlIsInstalled } from './etcdctl.ts'
import {
  createCluster,
  expectAllHold,
  putSomewhere,
  type StartOptions,
  startCluster,
  type TestCluster,
  type TestMember,
  until,
} from './members.ts'
import { freePorts } from '../src/processes/index.ts'

let authority: Authority
let stranger: Authority
let client: Files
beforeAll(() => {
  authority = new Authority()
  stranger = new Authority('somebody else')
  client = authority.issue({ commonName: 'root', hosts: [] })
})
afterAll(() => {
  authority[Symbol.dispose]()
  stranger[Symbol.dispose]()
})

function clientFlags({ certFile, keyFile }: Files): readonly string[] {
  return [
    `--cert-file=${certFile}`,
    `--key-file=${keyFile}`,
    '--client-cert-auth',
    `--trusted-ca-file=${authority.caFile}`,
  ]
}

function peerFlags({ certFile, keyFile }: Files): readonly string[] {
  return [
    `--peer-cert-file=${certFile}`,
    `--peer-key-file=${keyFile}`,
    '--peer-client-cert-auth',
    `--peer-trusted-ca-file=${authority.caFile}`,
  ]
}

/** What etcdctl is told of certificates. */
function by({ certFile, keyFile }: Files, { caFile } = authority): readonly string[] {
  return [`--cacert=${caFile}`, `--cert=${certFile}`, `--key=${keyFile}`]
}

interface Answer {
  readonly status: number
  readonly body: string
}

function get(url: string, options: { ca: string; cert?: string; key?: string }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { ...options, agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    asked.on('error', reject).end()
  })
}

describe.each(['tcp', 'grpc'])(
  'three members with mutual TLS on both sides, over %s',
  (transport) => {
    let cluster: TestCluster
    beforeAll(async () => {
      const server = authority.issue({ as: `server-${transport}` })
      const tls = { ca: authority.ca, cert: client.cert, key: client.key }
      cluster = await startCluster({
        secure: { clients: true, peers: true },
        flags: [...clientFlags(server), ...peerFlags(server), `--peer-transport=${transport}`],
        options: () => ({ tls }),
      })
    })
    afterAll(() => cluster[Symbol.asyncDispose]())
    const endpoints = (): string =>
      cluster.members.map(({ address }) => `https://${address}`).join(',')

    test('serve whoever shows a certificate of the authority, and forward among themselves', async () => {
      const [a, b] = cluster.members
      await a?.client.put('key', 'value')
      expect(await b?.client.list('key')).toEqual(new Map([['key', 'value']]))
      // Leases are a matter of the leader: at every member, the call finds its way.
      if (!etcdctlIsInstalled()) return
      for (const { address } of cluster.members) {
        const run = (...args: string[]): Promise<string> =>
          etcdctl(`https://${address}`, [...by(client), ...args])
        const [, lease = ''] = (await run('lease', 'grant', '60')).split(' ')
        expect(await run('lease', 'timetolive', lease)).toContain('granted with TTL(60s)')
        expect(await run('get', 'key')).toBe('key\nvalue\n')
      }
      const health = await etcdctl(endpoints(), [...by(client), 'endpoint', 'health', '-w', 'json'])
      expect(JSON.parse(health)).toMatchObject([
        { health: true },
        { health: true },
        { health: true },
      ])
    })

    test('answer HTTPS on the same port', async () => {
      const [{ address } = { address: '' }] = cluster.members
      const { ca } = authority
      const answer = await get(`https://${address}/health`, { ca, ...client })
      expect(answer).toMatchObject({ status: 200, body: '{"health":"true","reason":""}' })
      expect((await get(`https://${address}/metrics`, { ca, ...client })).body).toContain(
        'etcd_server',
      )
      await expect(get(`https://${address}/health`, { ca })).rejects.toThrow()
    })

    test('open WebSockets on the same port', async () => {
      const [{ address } = { address: '' }] = cluster.members
      const socket = new WebSocket(`wss://${address}/v3/watch`, { ca: authority.ca, ...client })
      await once(socket, 'open')
      const answer = once(socket, 'message')
      socket.send('{"create_request":{"key":"YQ=="}}')
      const [message] = await answer
      expect(JSON.parse(String(message))).toMatchObject({ result: { created: true } })
      const closed = once(socket, 'close')
      socket.close()
      await closed
    })

    test.runIf(etcdctlIsInstalled())('refuse strangers, and are refused by them', async () => {
      const other = stranger.issue({ commonName: 'root', hosts: [] })
      const impatient = ['--dial-timeout=500ms', '--command-timeout=1s', 'get', 'key']
      const ask = (flags: readonly string[]): Promise<string> =>
        etcdctl(endpoints(), [...flags, ...impatient])
      await expect(ask([`--cacert=${authority.caFile}`])).rejects.toThrow()
      await expect(ask(by(other))).rejects.toThrow()
      await expect(ask(by(client, stranger))).rejects.toThrow()
      await expect(etcdctl(endpoints().replaceAll('https', 'http'), impatient)).rejects.toThrow()
      await cluster.members[0]?.logged(({ msg }) => msg === 'rejected connection')
    })
  },
)

async function startOne(
  flags: readonly string[],
  options: StartOptions = {},
): Promise<{ cluster: TestCluster; member: TestMember }> {
  const cluster = await startCluster({
    size: 1,
    secure: { clients: true },
    flags,
    options: () => options,
  })
  return { cluster, member: cluster.members[0] as TestMember }
}

/** Which certificate is shown there; null if nobody is let in. */
async function shownAt({ address }: TestMember): Promise<string | null> {
  const [host = '', port] = address.split(':')
  const socket = connect({ host, port: Number(port), ca: authority.ca, rejectUnauthorized: false })
  try {
    await once(socket, 'secureConnect')
    return socket.getPeerCertificate().fingerprint256
  } catch {
    return null
  } finally {
    socket.destroy()
  }
}

describe('certificates on disk', () => {
  test('are shown as soon as they are renewed, and bad ones are not', async () => {
    const files = authority.issue({ as: 'renewed' })
    const flags = [`--cert-file=${files.certFile}`, `--key-file=${files.keyFile}`]
    const { cluster, member } = await startOne(flags, { tls: { ca: authority.ca } })
    await using _ = cluster
    await member.client.put('before', '1')
    const first = await shownAt(member)

    const other = authority.issue({ as: 'other' })
    await rename(other.certFile, files.certFile)
    await member.logged(({ msg }) => msg.startsWith('cannot use the new certificates'))
    expect(await shownAt(member)).toBe(first)

    await rename(other.keyFile, files.keyFile)
    const second = await until('the new one is shown', async () => {
      const shown = await shownAt(member)
      return shown === first ? null : shown
    })
    writeFileSync(files.certFile, 'nonsense')
    const complaints = (): number =>
      member.log.filter(({ msg }) => msg.startsWith('cannot use the new certificates')).length
    await until('it is told', async () => (complaints() > 1 ? true : null))
    expect(await shownAt(member)).toBe(second)
    // Connections that are open go on, and new ones are made.
    await member.client.put('after', '1')
  })

  test('are made by the member itself if it is told to, once', async () => {
    const { cluster, member } = await startOne(['--auto-tls', '--peer-auto-tls'])
    await using _ = cluster
    const directory = join(member.plan.dataDir, 'fixtures', 'client')
    const ca = await readFile(join(directory, 'cert.pem'), 'utf8')
    expect((await stat(join(directory, 'key.pem'))).mode & 0o777).toBe(0o600)
    expect(await get(`https://${member.address}/health`, { ca })).toMatchObject({ status: 200 })
    const shown = await shownAt(member)
    await member.kill()
    await member.restart()
    expect(await shownAt(member)).toBe(shown)
  })

  test.each([
    ['missing', '/nowhere.pem', /^\/nowhere\.pem cannot be read: ENOENT/],
    ['no certificates', null, /holds no certificate$/],
  ])('that are %s keep a member from starting: one sentence, exit code 1', async (_, path, why) => {
    const { keyFile } = authority.issue({ as: 'bad' })
    const certFile = path ?? authority.write('empty.pem', 'nothing')
    await using cluster = await createCluster({
      size: 1,
      secure: { clients: true },
      flags: [`--cert-file=${certFile}`, `--key-file=${keyFile}`],
    })
    const exit = await cluster.members[0]?.process.exited
    expect(exit).toMatchObject({ code: 1, why: expect.stringMatching(why) })
  })
})

describe('clients over TLS', () => {
  test('and others without, at addresses of their own; and HTTP apart from gRPC', async () => {
    const { certFile, keyFile } = authority.issue({ as: 'mixed' })
    const [plain = 0, http = 0] = await freePorts(2)
    await using cluster = await startCluster({
      size: 1,
      flags: [`--cert-file=${certFile}`, `--key-file=${keyFile}`],
      options: () => ({}),
    })
    const [member] = cluster.members as [TestMember]
    await member.kill()
    await member.restart({
      flags: [
        `--listen-client-urls=https://${member.address},http://127.0.0.1:${plain}`,
        `--listen-client-http-urls=https://127.0.0.1:${http}`,
      ],
    })
    using secure = memberClient(member.address, { ca: authority.ca })
    using open = memberClient(`127.0.0.1:${plain}`)
    await secure.put('a', '1')
    expect(await open.list('a')).toEqual(new Map([['a', '1']]))
    expect(await get(`https://127.0.0.1:${http}/health`, authority)).toMatchObject({ status: 200 })
    await expect(get(`https://${member.address}/health`, authority)).rejects.toThrow()
    await expect(
      new Promise((resolve, reject) => {
        plainRequest(`http://127.0.0.1:${plain}/health`, resolve).on('error', reject).end()
      }),
    ).rejects.toThrow()
  })

  test.runIf(etcdctlIsInstalled())('are users by the names in their certificates', async () => {
    const server = authority.issue({ as: 'users' })
    const { cluster, member } = await startOne(clientFlags(server), {
      tls: { ca: authority.ca, cert: client.cert, key: client.key },
    })
    await using _ = cluster
    const run = (who: Files, ...args: string[]): Promise<string> =>
      etcdctl(`https://${member.address}`, [...by(who), ...args])
    await run(client, 'user', 'add', 'root', '--no-password')
    await run(client, 'user', 'grant-role', 'root', 'root')
    await run(client, 'auth', 'enable')
    expect(await run(client, 'put', 'a', '1')).toBe('OK\n')
    const nobody = authority.issue({ commonName: 'nobody', hosts: [] })
    await expect(run(nobody, 'put', 'a', '2')).rejects.toThrow('permission denied')
  })

  test('are only those whose certificates are for an allowed name', async () => {
    const server = authority.issue({ as: 'allowed' })
    const good = authority.issue({ commonName: 'good', hosts: ['web.example'] })
    const { cluster, member } = await startOne(
      [...clientFlags(server), '--client-cert-allowed-hostname=web.example,db.example'],
      { tls: { ca: authority.ca, cert: good.cert, key: good.key } },
    )
    await using _ = cluster
    const { ca } = authority
    const url = `https://${member.address}/health`
    expect(await get(url, { ca, ...good })).toMatchObject({ status: 200 })
    await expect(get(url, { ca, ...client })).rejects.toThrow()
    const { fields } = await member.logged(({ msg }) => msg === 'rejected connection')
    expect(fields['error']).toBe('the certificate is for none of web.example, db.example')
  })
})

test('a client whose certificate was revoked is refused from then on', async () => {
  const lost = authority.issue({ commonName: 'lost', hosts: [] })
  const kept = authority.issue({ commonName: 'kept', hosts: [] })
  const list = authority.revoke('revoked.pem', [])
  const { cluster, member } = await startOne(
    [...clientFlags(authority.issue({ as: 'revoking' })), `--client-crl-file=${list}`],
    { tls: { ca: authority.ca, cert: kept.cert, key: kept.key } },
  )
  await using _ = cluster
  const ask = (files: Files): Promise<Answer> =>
    get(`https://${member.address}/health`, { ...files, ca: authority.ca })
  expect(await ask(lost)).toMatchObject({ status: 200 })
  authority.revoke('revoked.pem', [lost])
  await member.logged(({ msg }) => msg === 'renewed certificates')
  await expect(ask(lost)).rejects.toThrow()
  expect(await ask(kept)).toMatchObject({ status: 200 })
})

test('a member whose certificate has another name than is allowed is kept out', async () => {
  const good = authority.issue({ commonName: 'member' })
  const bad = authority.issue({ commonName: 'other' })
  await using cluster = await startCluster({
    secure: { peers: true },
    flags: [...peerFlags(good), '--peer-cert-allowed-cn=member'],
  })
  const [first, , third] = cluster.members as [TestMember, TestMember, TestMember]
  await third.kill()
  await expectRefused(first, third, peerFlags(bad))
  await third.restart()
  await third.client.put('back', '1')
})

test('a cluster changes over to TLS between members, one after the other, and never stops', async () => {
  const files = authority.issue({ as: 'changing' })
  await using cluster = await startCluster({ flags: peerFlags(files) })
  const { members } = cluster
  for (const [i, member] of members.entries()) {
    const url = `https://127.0.0.1:${member.plan.peerPort}`
    await moveTo(url, member, members[(i + 1) % members.length] as TestMember)
    await member.kill()
    await putSomewhere(members, `without/${i}`, 'x')
    await member.restart({
      flags: [`--listen-peer-urls=${url}`, `--initial-advertise-peer-urls=${url}`],
    })
    await putSomewhere([member], `with/${i}`, 'x')
  }
  const wanted = new Map(members.map((_, i): [string, string] => [`with/${i}`, 'x']))
  await expectAllHold(members, 'with/', wanted)
})

/** Asks until it is done: what becomes of a change while leaders change is not known. */
async function moveTo(url: string, { plan }: TestMember, asked: TestMember): Promise<void> {
  using admin = adminOf(asked.address)
  await until(`${plan.name} is to be found at ${url}`, async () => {
    const known = await admin.members().catch(() => [])
    const found = known.find(({ name }) => name === plan.name)
    if (found?.peerURLs.includes(url) === true) return true
    if (found !== undefined) await admin.update(found.id, url).catch(() => {})
    return null
  })
}

/** With these flags, the member does not find its way into the cluster. */
async function expectRefused(
  by: TestMember,
  member: TestMember,
  flags: readonly string[],
): Promise<void> {
  const restarted = member.restart({ flags })
  const { fields } = await by.logged(
    ({ msg, text }) => msg === 'connection refused' && text.includes('is not allowed'),
  )
  expect(fields['why']).toContain('common name "other" is not allowed')
  await member.kill()
  await restarted.catch(() => {})
}
