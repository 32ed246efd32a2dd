import { describe, expect, test } from 'vitest'
import { clusterId, memberId, memberIdOf, nodeIdOf } from '../src/index.ts'

describe('identities are etcd’s', () => {
  test('the member that a default etcd starts is 8e9e05c52164694d in cluster cdf818194e3a8c32', () => {
    const member = memberId(['http://localhost:2380'], 'etcd-cluster')
    expect(member.toString(16)).toBe('8e9e05c52164694d')
    expect(clusterId([member]).toString(16)).toBe('cdf818194e3a8c32')
  })

  test('the order of peer URLs and of members does not matter', () => {
    expect(memberId(['http://b:1', 'http://a:1'], 't')).toBe(
      memberId(['http://a:1', 'http://b:1'], 't'),
    )
    expect(clusterId([3n, 1n, 2n])).toBe(clusterId([1n, 2n, 3n]))
  })

  test('a node id is the member id in lower-case hexadecimal, without padding', () => {
    expect(nodeIdOf(0xabcn)).toBe('abc')
    expect(memberIdOf('abc')).toBe(0xabcn)
    expect(memberIdOf('ffffffffffffffff')).toBe(2n ** 64n - 1n)
  })

  test.each(['', '0', 'ABC', '0abc', 'n1', '10000000000000000'])(
    'a node id %j is no member id',
    (node) => {
      expect(() => memberIdOf(node)).toThrow(RangeError)
    },
  )

  test.each([0n, -1n, 2n ** 64n])('%d is no member id', (id) => {
    expect(() => nodeIdOf(id)).toThrow(RangeError)
  })
})
