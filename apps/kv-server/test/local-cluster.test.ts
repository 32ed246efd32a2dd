/** `pnpm start`, on ports of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memberClient } from '../src/client.ts'
import { freePorts } from '../src/processes/index.ts'
import { builtProgram, until } from './members.ts'

let directory: string
let ports: readonly number[]
const launchers: Launcher[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
  ports = await freePorts(6)
})
afterEach(async () => {
  for (const launcher of launchers.splice(0)) await launcher.end('SIGTERM')
  await rm(directory, { recursive: true, force: true })
})

class Launcher {
  readonly child: ChildProcess
  output = ''
  complaint = ''
  readonly exited: Promise<number | null>

  constructor() {
    const args = [
      `--data-dir=${directory}/data`,
      `--client-ports=${ports.slice(0, 3).join(',')}`,
      `--peer-ports=${ports.slice(3).join(',')}`,
    ]
    this.child = spawn(process.execPath, [builtProgram('local-cluster'), ...args])
    this.child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
    this.child.stderr?.on('data', (chunk: Buffer) => (this.complaint += chunk.toString()))
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code) => resolve(code))
    })
    launchers.push(this)
  }

  async printed(wanted: RegExp): Promise<RegExpExecArray> {
    return until(`the launcher prints ${wanted}`, () => Promise.resolve(wanted.exec(this.output)))
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal)
    return this.exited
  }
}

const TABLE_ROW = /^ {2}(infra\d) +(leader|follower) +\d+ +\d+ +(http:\S+) +(\d+)$/gm

test('it shows three members of which one leads, stops on Ctrl-C, and finds its data again', async () => {
  const first = new Launcher()
  await first.printed(/infra3 +(leader|follower)/)
  const rows = [...first.output.matchAll(TABLE_ROW)]
  expect(rows.map(([, name]) => name)).toEqual(['infra1', 'infra2', 'infra3'])
  expect(rows.map(([, , , url]) => url)).toEqual(
    ports.slice(0, 3).map((port) => `http://127.0.0.1:${port}`),
  )
  expect(rows.filter(([, , role]) => role === 'leader')).toHaveLength(1)
  expect(first.output).toContain(`etcdctl --endpoints=127.0.0.1:${ports[1]} put`)
  using client = memberClient(`127.0.0.1:${ports[1]}`)
  await client.put('kept', 'yes')
  expect(await first.end('SIGINT')).toBe(0)
  expect(first.output).toContain('All members have stopped')
  expect(first.complaint).toBe('')

  const second = new Launcher()
  await second.printed(/infra3 +(leader|follower)/)
  expect(await client.list('kept')).toEqual(new Map([['kept', 'yes']]))
  expect(await readdir(join(directory, 'data'))).toEqual(
    ['infra1', 'infra2', 'infra3'].flatMap((name) => [name, `${name}.log`]),
  )
})

test('it says when a member dies, who leads then, and starts it again', async () => {
  const launcher = new Launcher()
  await launcher.printed(/infra3 +(leader|follower)/)
  const rows = [...launcher.output.matchAll(TABLE_ROW)]
  const [, name, , , pid] = rows.find(([, , role]) => role === 'leader') ?? []
  process.kill(Number(pid), 'SIGKILL')
  await launcher.printed(new RegExp(`${name} is down: it was killed by SIGKILL`))
  const [, heir] = await launcher.printed(/is down[^]*(infra\d) leads since term \d+/)
  expect(heir).not.toBe(name)
  const index = ['infra1', 'infra2', 'infra3'].indexOf(String(name))
  using client = memberClient(`127.0.0.1:${ports[index]}`)
  await until('the member is back', () =>
    client.put('a', 'b', { timeoutMs: 500 }).catch(() => null),
  )
})

test('a port that is taken is named, with exit code 1', async () => {
  const other = createServer().listen(ports[4], '127.0.0.1')
  await once(other, 'listening')
  const launcher = new Launcher()
  expect(await launcher.exited).toBe(1)
  expect(launcher.complaint).toBe(
    `coracle: port ${ports[4]} on 127.0.0.1 is taken: another program listens there\n`,
  )
  other.close()
})

test('a member that cannot start is named with its own sentence, with exit code 1', async () => {
  const first = new Launcher()
  await first.printed(/infra3 +(leader|follower)/)
  await first.end('SIGINT')
  await writeFile(join(directory, 'data', 'infra2', 'member.json'), 'x')
  const launcher = new Launcher()
  expect(await launcher.exited).toBe(1)
  expect(launcher.complaint).toBe(
    `coracle: infra2: data directory ${directory}/data/infra2 is damaged: member.json cannot be read\n`,
  )
})
