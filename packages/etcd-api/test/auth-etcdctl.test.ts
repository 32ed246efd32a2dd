import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FAST } from './guarded.ts'
import { isInstalled } from './real-etcd.ts'
import { type RealCluster, startRealCluster } from './real-cluster.ts'

/** Each command goes to another member than the one before. */
function etcdctlTests(): void {
  let cluster: RealCluster
  let turn = 0
  beforeAll(async () => {
    cluster = await startRealCluster({ auth: FAST })
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  const etcdctl = async (...args: string[]): Promise<string> => {
    const { address } = cluster.members[turn++ % 3]!
    const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: address }
    const { stdout } = await promisify(execFile)('etcdctl', args, { env })
    return stdout
  }
  const withInput = (input: string, ...args: string[]): Promise<string> => {
    const { address } = cluster.members[turn++ % 3]!
    const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: address }
    const running = promisify(execFile)('etcdctl', args, { env })
    running.child.stdin?.end(input)
    return running.then(({ stdout }) => stdout)
  }
  const asRoot = (...args: string[]): Promise<string> => etcdctl('--user=root:pw', ...args)
  const asAnn = (...args: string[]): Promise<string> => etcdctl('--user=ann:pw', ...args)

  describe('etcdctl', () => {
    test('adds users and roles, and enables authentication', async () => {
      expect(await etcdctl('user', 'add', 'root:pw')).toBe('User root created\n')
      // As etcd's own command does it: what root lacks is granted on the way.
      expect(await etcdctl('auth', 'enable')).toBe('Authentication Enabled\n')
      await expect(etcdctl('get', 'k')).rejects.toThrow('etcdserver: user name is empty')
      await expect(etcdctl('--user=root:wrong', 'get', 'k')).rejects.toThrow(
        'etcdserver: authentication failed, invalid user ID or password',
      )
    })

    test('manages permissions, and is held to them', async () => {
      expect(await asRoot('user', 'add', 'ann:pw')).toBe('User ann created\n')
      expect(await asRoot('role', 'add', 'editor')).toBe('Role editor created\n')
      const grant = ['role', 'grant-permission', 'editor']
      await asRoot(...grant, '--prefix=true', 'readwrite', 'docs/')
      await asRoot(...grant, 'read', 'title')
      await asRoot(...grant, '--from-key=true', 'write', 'zz')
      expect(await asRoot('user', 'grant-role', 'ann', 'editor')).toBe(
        'Role editor is granted to user ann\n',
      )
      expect(await asRoot('role', 'get', 'editor')).toBe(
        'Role editor\nKV Read:\n\t[docs/, docs0) (prefix docs/)\n\ttitle\n' +
          'KV Write:\n\t[docs/, docs0) (prefix docs/)\n\t[zz, <open ended>\n',
      )
      expect(await asAnn('put', 'docs/1', 'x')).toBe('OK\n')
      expect(await asAnn('get', '--prefix', 'docs/')).toBe('docs/1\nx\n')
      expect(await asAnn('put', 'zzz', 'x')).toBe('OK\n')
      for (const args of [
        ['put', 'title', 'x'],
        ['get', '--prefix', 'd'],
        ['get', 'zzz'],
        ['user', 'list'],
      ])
        await expect(asAnn(...args)).rejects.toThrow('etcdserver: permission denied')
      await asRoot('role', 'revoke-permission', '--from-key=true', 'editor', 'zz')
      await expect(asAnn('put', 'zzz', 'x')).rejects.toThrow('etcdserver: permission denied')
    })

    test('lists, shows, changes passwords and takes everything back', async () => {
      expect(await asRoot('user', 'list')).toBe('ann\nroot\n')
      expect(await asRoot('role', 'list')).toBe('editor\nroot\n')
      expect(await asAnn('user', 'get', 'ann')).toBe('User: ann\nRoles: editor\n')
      expect(await asRoot('user', 'add', 'cn', '--no-password')).toBe('User cn created\n')
      await expect(etcdctl('--user=cn:any', 'get', 'k')).rejects.toThrow(
        'password was given for no password user',
      )
      const passwd = ['--user=root:pw', 'user', 'passwd', 'ann', '--interactive=false']
      expect(await withInput('new\n', ...passwd)).toBe('Password updated\n')
      await expect(asAnn('user', 'get', 'ann')).rejects.toThrow('authentication failed')
      expect(await etcdctl('--user=ann:new', 'user', 'get', 'ann')).toContain('editor')
      await asRoot('user', 'revoke-role', 'ann', 'editor')
      await asRoot('role', 'delete', 'editor')
      expect(await asRoot('user', 'delete', 'ann')).toBe('User ann deleted\n')
      await expect(asRoot('user', 'delete', 'root')).rejects.toThrow('invalid auth management')
      expect(await asRoot('auth', 'disable')).toBe('Authentication Disabled\n')
      expect(await etcdctl('get', 'docs/1')).toBe('docs/1\nx\n')
    })

    test('finds members healthy whether or not it may read', async () => {
      await etcdctl('auth', 'enable')
      await asRoot('user', 'add', 'weak:pw')
      const health = await etcdctl('--user=weak:pw', 'endpoint', 'health', '-w', 'json')
      expect(JSON.parse(health)).toMatchObject([{ health: true }])
      expect(await asRoot('endpoint', 'status')).toContain('3.6.14')
    })
  })
}

if (isInstalled('etcdctl')) etcdctlTests()
