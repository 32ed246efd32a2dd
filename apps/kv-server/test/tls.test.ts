/** Clients and members over TLS, with etcd's own client and with plain HTTPS. */
import { request } from 'node:https'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Authority, type Files } from './authority.ts'
import { etcdctl, etcdctlIsInstalled } from './etcdctl.ts'
import { startCluster, type TestCluster } from './members.ts'

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
