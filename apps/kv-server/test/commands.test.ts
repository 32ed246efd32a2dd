/** What etcd's own clients can be told to do, at members that do not lead. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Etcd3, type Watcher } from 'etcd3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { etcdctl, etcdctlIsInstalled } from './etcdctl.ts'
import { startCluster, type TestCluster, type TestMember, until } from './members.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

async function followers(): Promise<readonly [TestMember, TestMember]> {
  const leader = await cluster.leader()
  return cluster.members.filter((each) => each !== leader) as [TestMember, TestMember]
}

/** Commands of etcdctl that say nothing to a server, or are not for one of ours, and why. */
const NOT_DRIVEN: Readonly<Record<string, string>> = {
  'check datascale': 'fills a server with hundreds of megabytes and reads how much memory it takes',
  'check perf': 'writes for a minute; the benchmarks do so with more care',
  'completion bash': 'asks no server',
  'completion fish': 'asks no server',
  'completion powershell': 'asks no server',
  'completion zsh': 'asks no server',
  help: 'asks no server',
  migrate: 'turns files of etcd 2 into files of etcd 3',
  'snapshot restore': 'makes files of etcd; coracle snapshot restore makes ours',
  'snapshot status': 'reads files of etcd; coracle snapshot status reads ours',
}

test.runIf(etcdctlIsInstalled())('every command of etcdctl is driven by a test', async () => {
  const help = await etcdctl('', ['help'])
  const listed = /COMMANDS:\n([\s\S]*?)\n\n/.exec(help)?.[1] ?? ''
  const commands = listed.split('\n').map((line) => line.trim().split(/\t+/)[0] ?? '')
  expect(commands.length).toBeGreaterThan(40)
  const sources = ['.', '../../../packages/etcd-api/test'].map((path) => {
    const folder = new URL(`${path}/`, import.meta.url)
    return readdirSync(folder)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(new URL(name, folder), 'utf8'))
      .join('\n')
  })
  const isDriven = (command: string): boolean => {
    const words = command.split(' ').map((word) => `'${word}'`)
    return sources.some((source) => new RegExp(words.join(',\\s*')).test(source))
  }
  const missing = commands.filter((each) => !isDriven(each) && NOT_DRIVEN[each] === undefined)
  expect(missing).toEqual([])
})

describe.runIf(etcdctlIsInstalled())('etcdctl at a follower', () => {
  const run = async (...args: string[]): Promise<string> =>
    etcdctl((await followers())[0].address, args)

  test('version', async () => {
    expect(await run('version')).toMatch(/^etcdctl version: 3\./)
  })

  test('leases: grant, keep alive, list, tell and revoke', async () => {
    const [, id = ''] = /^lease ([0-9a-f]+) granted/.exec(await run('lease', 'grant', '60')) ?? []
    await run('put', 'leased', 'x', `--lease=${id}`)
    expect(await run('lease', 'keep-alive', '--once', id)).toContain('keepalived with TTL(60)')
    expect(await run('lease', 'list')).toContain(id)
    const told = await run('lease', 'timetolive', id, '--keys')
    expect(told).toMatch(/granted with TTL\(60s\), remaining\(5\ds\), attached keys\(\[leased\]\)/)
    expect(await run('lease', 'revoke', id)).toBe(`lease ${id} revoked\n`)
    expect(await run('get', 'leased')).toBe('')
  })

  test('watches from the past, and on', async () => {
    const [at] = await followers()
    const put = await run('put', 'seen', '1', '-w', 'json')
    const { revision } = (JSON.parse(put) as { header: { revision: number } }).header
    await using watch = running(at, ['watch', 'seen', '--prev-kv', `--rev=${revision}`])
    await watch.printed('PUT\nseen\n1\n')
    await run('put', 'seen', '2')
    await run('del', 'seen')
    await watch.printed('PUT\nseen\n1\nPUT\nseen\n1\nseen\n2\nDELETE\nseen\n2\nseen\n\n')
  })

  test('elects one, whom another sees', async () => {
    const [one, two] = await followers()
    await using candidate = running(one, ['elect', 'office', 'me'])
    await candidate.printed('me')
    await using observer = running(two, ['elect', '--listen', 'office'])
    await observer.printed('me')
  })

  test('mirrors a prefix', async () => {
    const [from, to] = await followers()
    await run('put', 'mirrored/1', 'one')
    const args = ['make-mirror', '--prefix=mirrored/', '--dest-prefix=copy/', to.address]
    await using mirror = running(from, [...args, '--dest-insecure-transport'])
    const copied = (wanted: string): Promise<true> =>
      until('it is copied', async () =>
        (await run('get', 'copy/', '--prefix')) === wanted ? true : null,
      )
    await copied('copy/1\none\n')
    await run('put', 'mirrored/2', 'two')
    await copied('copy/1\none\ncopy/2\ntwo\n')
    await run('del', 'mirrored/1')
    await copied('copy/2\ntwo\n')
    expect(mirror.output).not.toContain('rror:')
  })

  test('users and roles hold at every member', async () => {
    const [{ address: at }] = await followers()
    const run = (...args: string[]): Promise<string> => etcdctl(at, args)
    await run('user', 'add', 'root:root')
    await run('user', 'grant-role', 'root', 'root')
    await run('role', 'add', 'reader')
    await run('role', 'grant-permission', 'reader', 'read', 'doc/', '--prefix')
    await run('user', 'add', 'ann:ann')
    await run('user', 'grant-role', 'ann', 'reader')
    await run('put', 'doc/1', 'x')
    await run('auth', 'enable')
    try {
      for (const { address } of cluster.members) {
        const asAnn = (...args: string[]) => etcdctl(address, ['--user=ann:ann', ...args])
        expect(await asAnn('get', 'doc/1')).toBe('doc/1\nx\n')
        await expect(asAnn('put', 'doc/1', 'y')).rejects.toThrow('permission denied')
        await expect(etcdctl(address, ['get', 'doc/1'])).rejects.toThrow('user name is empty')
      }
    } finally {
      await run('--user=root:root', 'auth', 'disable')
    }
    expect(await run('get', 'doc/1')).toBe('doc/1\nx\n')
  })
})

describe('the npm client etcd3 at followers', () => {
  test('leases, and what is kept alive outlives its time', async () => {
    const [{ address }] = await followers()
    using client = clientOf(`http://${address}`)
    const lease = client.etcd.lease(2)
    await lease.put('kept').value('x')
    await once(lease, 'keepaliveSucceeded')
    await once(lease, 'keepaliveSucceeded')
    expect(await client.etcd.get('kept').string()).toBe('x')
    await lease.revoke()
    expect(await client.etcd.get('kept').string()).toBeNull()
  })

  test('software transactions of two clients that want the same lose nothing', async () => {
    const [one, two] = await followers()
    using first = clientOf(`http://${one.address}`)
    using second = clientOf(`http://${two.address}`)
    await first.etcd.put('sum').value(0)
    const add = (etcd: Etcd3): Promise<void> =>
      etcd.stm({ retries: 100 }).transact(async (tx) => {
        await tx.put('sum').value(((await tx.get('sum').number()) ?? 0) + 1)
      })
    for (let i = 0; i < 10; i++) await Promise.all([add(first.etcd), add(second.etcd)])
    expect(await first.etcd.get('sum').number()).toBe(20)
  })

  test('a watch misses nothing when the member that served it is killed', async () => {
    const victims = await followers()
    using writer = clientOf(`http://${(await cluster.leader()).address}`)
    for (const victim of victims) {
      const others = cluster.members.filter((each) => each !== victim)
      // The first host is asked first.
      using client = clientOf(...[victim, ...others].map(({ address }) => `http://${address}`))
      const seen: string[] = []
      const watcher: Watcher = await client.etcd.watch().prefix('resume/').create()
      watcher.on('put', ({ value }) => seen.push(value.toString()))
      const wanted: string[] = []
      for (let i = 0; i < 30; i++) {
        if (i === 10) await victim.kill()
        await writer.etcd.put('resume/key').value(`${victim.plan.name}-${i}`)
        wanted.push(`${victim.plan.name}-${i}`)
      }
      await until('all is seen', () => Promise.resolve(seen.length >= wanted.length || null))
      expect(seen).toEqual(wanted)
      await victim.restart()
    }
  })
})

function clientOf(...hosts: string[]): Disposable & { readonly etcd: Etcd3 } {
  const etcd = new Etcd3({ hosts })
  return { etcd, [Symbol.dispose]: () => etcd.close() }
}

interface Running extends AsyncDisposable {
  readonly output: string
  /** Resolves when it has printed this. */
  printed(text: string): Promise<unknown>
}

/** A command that goes on until it is told to stop. */
function running({ address }: TestMember, args: readonly string[]): Running {
  const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: address }
  const child: ChildProcess = spawn('etcdctl', args, { env })
  const exited = once(child, 'exit')
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return {
    get output() {
      return output
    },
    printed: (text) =>
      until(`etcdctl ${args.join(' ')} prints ${text}`, () =>
        Promise.resolve(output.includes(text) || null),
      ),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
