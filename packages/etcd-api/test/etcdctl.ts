/** What people type, against a live server; for machines that have etcd's own client. */
import { execFile, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from './harness.ts'

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

export function etcdctlTests(): void {
  let harness: Harness
  beforeAll(async () => {
    harness = await startHarness()
  })
  afterAll(() => harness[Symbol.asyncDispose]())

  const etcdctl = async (...args: string[]): Promise<string> => {
    const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: harness.address }
    const { stdout } = await promisify(execFile)('etcdctl', args, { env })
    return stdout
  }

  describe('etcdctl', () => {
    test('puts, gets and deletes', async () => {
      expect(await etcdctl('put', 'a/1', 'one')).toBe('OK\n')
      expect(await etcdctl('put', 'a/2', 'two')).toBe('OK\n')
      expect(await etcdctl('put', '--prev-kv', 'a/2', 'zwei')).toBe('OK\na/2\ntwo\n')
      expect(await etcdctl('get', '--prefix', 'a/')).toBe('a/1\none\na/2\nzwei\n')
      expect(await etcdctl('get', '--prefix', '--order=DESCEND', '--limit=1', 'a/')).toBe(
        'a/2\nzwei\n',
      )
      expect(await etcdctl('get', '--from-key', '--keys-only', 'a/2')).toBe('a/2\n\n')
      expect(await etcdctl('get', '--rev=3', '--print-value-only', 'a/2')).toBe('two\n')
      expect(await etcdctl('del', '--prefix', '--prev-kv', 'a/')).toBe('2\na/1\none\na/2\nzwei\n')
    })

    test('finds the endpoint healthy, which takes a read and an alarm list', async () => {
      const health = JSON.parse(await etcdctl('endpoint', 'health', '-w', 'json')) as object[]
      expect(health).toMatchObject([{ health: true }])
    })

    test('shows status, members and hashes', async () => {
      expect(await etcdctl('endpoint', 'status')).toMatch(/, 8e9e05c52164694d, 3\.6\.14, .*true/)
      expect(await etcdctl('member', 'list')).toMatch(/^8e9e05c52164694d, .*localhost:2380/)
      expect(await etcdctl('endpoint', 'hashkv')).toMatch(/, \d+\n$/)
      expect(await etcdctl('alarm', 'list')).toBe('')
    })

    test('grants leases, attaches, asks, keeps alive, lists and revokes', async () => {
      const granted = await etcdctl('lease', 'grant', '60')
      const [, id = ''] = /^lease ([0-9a-f]+) granted with TTL\(60s\)\n$/.exec(granted) ?? []
      await etcdctl('put', 'leased', 'x', `--lease=${id}`)
      expect(await etcdctl('lease', 'timetolive', id, '--keys')).toMatch(
        /granted with TTL\(60s\), remaining\(\d+s\), attached keys\(\[leased\]\)\n$/,
      )
      expect(await etcdctl('lease', 'keep-alive', '--once', id)).toBe(
        `lease ${id} keepalived with TTL(60)\n`,
      )
      expect(await etcdctl('lease', 'list')).toBe(`found 1 leases\n${id}\n`)
      expect(await etcdctl('lease', 'revoke', id)).toBe(`lease ${id} revoked\n`)
      expect(await etcdctl('get', 'leased')).toBe('')
      expect(await etcdctl('lease', 'timetolive', id)).toBe(`lease ${id} already expired\n`)
    })

    test('watches', async () => {
      await etcdctl('put', 'w/1', 'one')
      const { revision } = harness.stateMachine
      const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: harness.address }
      const args = ['watch', '--prefix', '--prev-kv', `--rev=${revision}`, 'w/']
      const child = spawn('etcdctl', args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
      const expected = 'PUT\nw/1\none\nPUT\nw/1\none\nw/1\nuno\nDELETE\nw/1\nuno\nw/1\n\n'
      try {
        let output = ''
        let isWatching = false
        for await (const chunk of child.stdout) {
          output += String(chunk)
          if (output.length >= expected.length) break
          if (isWatching) continue
          isWatching = true
          await etcdctl('put', 'w/1', 'uno')
          await etcdctl('del', 'w/1')
        }
        expect(output).toBe(expected)
      } finally {
        child.kill()
      }
    })

    test('compacts, and says why it cannot', async () => {
      await etcdctl('put', 'c', '1')
      await etcdctl('put', 'c', '2')
      expect(await etcdctl('compaction', '4')).toBe('compacted revision 4\n')
      await expect(etcdctl('compaction', '4')).rejects.toMatchObject({
        stderr: expect.stringContaining('required revision has been compacted'),
      })
      await expect(etcdctl('get', '--rev=3', 'c')).rejects.toMatchObject({
        stderr: expect.stringContaining('required revision has been compacted'),
      })
    })
  })
}
