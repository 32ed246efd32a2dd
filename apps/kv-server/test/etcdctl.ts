/** What people type, at every member of a running cluster; for machines that have etcd's own client. */
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TestCluster } from './members.ts'

export function etcdctlIsInstalled(): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, 'etcdctl'), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

type Cluster = () => TestCluster

/** Answers with what it printed; rejects with what it complained about. */
export function etcdctl(endpoints: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: endpoints }
    const child = spawn('etcdctl', args, { env })
    let [printed, complained] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (complained += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(printed)
      else reject(new Error(complained))
    })
    // Commands that read nothing may be gone by then.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

export function etcdctlTests(cluster: Cluster): void {
  describe.each([0, 1, 2])('etcdctl at member %i', (place) => {
    atEveryMember((...args) => etcdctl(cluster().members[place]?.address ?? '', args), {
      prefix: `m${place}`,
      withInput: (input, ...args) => etcdctl(cluster().members[place]?.address ?? '', args, input),
    })
  })
  describe.each([0, 1, 2])('etcdctl that asks member %i for all of them', (place) => {
    overTheCluster((...args) => etcdctl(cluster().members[place]?.address ?? '', args), cluster)
  })
}

type Run = (...args: string[]) => Promise<string>

function atEveryMember(
  run: Run,
  {
    prefix,
    withInput,
  }: { prefix: string; withInput: (input: string, ...args: string[]) => Promise<string> },
): void {
  test('put, get, del', async () => {
    expect(await run('put', `${prefix}/a`, '1')).toBe('OK\n')
    expect(await run('put', `${prefix}/a`, '2', '--prev-kv')).toBe(`OK\n${prefix}/a\n1\n`)
    expect(await run('get', `${prefix}/a`)).toBe(`${prefix}/a\n2\n`)
    expect(await run('get', `${prefix}/none`)).toBe('')
    expect(await run('del', `${prefix}/a`, '--prev-kv')).toBe(`1\n${prefix}/a\n2\n`)
    expect(await run('del', `${prefix}/a`)).toBe('0\n')
  })

  test('get with every option', async () => {
    for (const [key, value] of Object.entries({ 1: 'c', 2: 'a', 3: 'b' }))
      await run('put', `${prefix}/get/${key}`, value)
    const get = (...options: string[]): Promise<string> =>
      run('get', `${prefix}/get/`, '--prefix', ...options)
    const keys = (text: string): string[] => text.match(/(?<=get\/)\d/g) ?? []
    expect(keys(await get())).toEqual(['1', '2', '3'])
    expect(await get('--keys-only')).toBe([1, 2, 3].map((n) => `${prefix}/get/${n}\n\n`).join(''))
    expect(await get('--print-value-only')).toBe('c\na\nb\n')
    expect(keys(await get('--limit=2'))).toEqual(['1', '2'])
    expect(keys(await get('--order=DESCEND'))).toEqual(['3', '2', '1'])
    expect(keys(await get('--order=ASCEND', '--sort-by=VALUE'))).toEqual(['2', '3', '1'])
    expect(keys(await get('--order=DESCEND', '--sort-by=MODIFY'))).toEqual(['3', '2', '1'])
    expect(keys(await get('--consistency=s'))).toEqual(['1', '2', '3'])
    const limited = JSON.parse(await get('--limit=1', '-w', 'json')) as object
    expect(limited).toMatchObject({ count: 3, more: true })
    // Versions from 3.5 on have an option for the count alone.
    if ((await run('get', '--help')).includes('--count-only'))
      expect(await get('--count-only', '--write-out=fields')).toContain('"Count" : 3')
    const above = await run('get', `${prefix}/get/2`, `${prefix}/get/9`)
    expect(keys(above)).toEqual(['2', '3'])
    expect(keys(await run('get', `${prefix}/get/3`, '--from-key'))).toContain('3')
  })

  test('get at an old revision, until it is compacted', async () => {
    const revisionOf = async (): Promise<number> => {
      const answer = await run('put', `${prefix}/rev`, 'x', '-w', 'json')
      return (JSON.parse(answer) as { header: { revision: number } }).header.revision
    }
    await run('put', `${prefix}/rev`, 'old')
    const revision = await revisionOf()
    expect(await run('get', `${prefix}/rev`, `--rev=${revision - 1}`)).toContain('old')
    const newest = await revisionOf()
    expect(await run('compaction', String(newest))).toBe(`compacted revision ${newest}\n`)
    await expect(run('get', `${prefix}/rev`, `--rev=${revision}`)).rejects.toThrow(
      'etcdserver: mvcc: required revision has been compacted',
    )
    await expect(run('get', `${prefix}/rev`, '--rev=99999999')).rejects.toThrow(
      'etcdserver: mvcc: required revision is a future revision',
    )
  })

  test('txn: both branches', async () => {
    await run('put', `${prefix}/txn`, 'one')
    const txn = `value("${prefix}/txn") = "one"\n\nput ${prefix}/txn two\nget ${prefix}/txn\n\nget ${prefix}/txn\n\n`
    expect(await withInput(txn, 'txn')).toBe(`SUCCESS\n\nOK\n\n${prefix}/txn\ntwo\n`)
    expect(await withInput(txn, 'txn')).toBe(`FAILURE\n\n${prefix}/txn\ntwo\n`)
  })

  test('endpoint status, health and hashkv of this member', async () => {
    expect(await run('endpoint', 'status')).toMatch(/^127\.0\.0\.1:\d+, [0-9a-f]+, 3\.\d+\.\d+, /)
    expect(await run('endpoint', 'hashkv')).toMatch(/^127\.0\.0\.1:\d+, \d+\n$/)
    const health = JSON.parse(await run('endpoint', 'health', '-w', 'json')) as object[]
    expect(health).toMatchObject([{ health: true }])
  })
}

function overTheCluster(run: Run, cluster: Cluster): void {
  const urls = (): Set<unknown> =>
    new Set(cluster().members.map(({ address }) => `http://${address}`))
  const ofAll = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    JSON.parse(await run('endpoint', ...args, '--cluster', '-w', 'json')) as Record<
      string,
      unknown
    >[]
  const endpointsOf = (answers: readonly Record<string, unknown>[]): Set<unknown> =>
    new Set(answers.map((answer) => answer['Endpoint'] ?? answer['endpoint']))

  test('member list', async () => {
    const lines = (await run('member', 'list')).trimEnd().split('\n')
    const column = (place: number): Set<unknown> =>
      new Set(lines.map((line) => line.split(', ')[place]))
    expect(column(2)).toEqual(new Set(['infra1', 'infra2', 'infra3']))
    expect(column(4)).toEqual(urls())
    for (const line of lines) expect(line).toMatch(/^[0-9a-f]+, started, .*, false$/)
  })

  test('endpoint status --cluster: three members, one of them leads', async () => {
    const answers = await ofAll('status')
    expect(endpointsOf(answers)).toEqual(urls())
    const statuses = answers.map(({ Status }) => Status as Record<string, unknown>)
    const ids = statuses.map(({ header }) => (header as { member_id: number }).member_id)
    expect(new Set(ids).size).toBe(3)
    expect(new Set(statuses.map(({ leader }) => leader)).size).toBe(1)
    expect(ids).toContain(statuses[0]?.['leader'])
  })

  test('endpoint health --cluster', async () => {
    const answers = await ofAll('health')
    expect(endpointsOf(answers)).toEqual(urls())
    expect(answers.every(({ health }) => health === true)).toBe(true)
  })

  test('endpoint hashkv --cluster: the same everywhere', async () => {
    const answers = await ofAll('hashkv')
    expect(endpointsOf(answers)).toEqual(urls())
    expect(new Set(answers.map(({ HashKV }) => (HashKV as { hash: number }).hash)).size).toBe(1)
  })
}
