import { describe, expect, test } from 'vitest'
import { AddressRotation } from '../../src/transport/address-rotation.ts'

describe('the addresses of a peer', () => {
  test('are tried in their order, the next at once where one fails', () => {
    const addresses = new AddressRotation('a:1,b:1,c:1')
    expect(addresses.current).toBe('a:1')
    expect(addresses.failed('refused')).toBeNull()
    expect(addresses.current).toBe('b:1')
    expect(addresses.failed('refused')).toBeNull()
    expect(addresses.current).toBe('c:1')
  })

  test('have all failed after a round, and then the first comes again', () => {
    const addresses = new AddressRotation('a:1,b:1')
    addresses.failed('refused')
    expect(addresses.failed('nobody answers')).toBe('a:1: refused; b:1: nobody answers')
    expect(addresses.current).toBe('a:1')
    expect(addresses.failed('refused again')).toBeNull()
  })

  test('fail with the same words wherever a round began', () => {
    const addresses = new AddressRotation('a:1,b:1')
    addresses.failed('refused')
    addresses.worked()
    expect(addresses.failed('broken')).toBeNull()
    expect(addresses.failed('refused')).toBe('a:1: refused; b:1: broken')
  })

  test('stay with the one that worked, which is then the first of all', () => {
    const addresses = new AddressRotation('a:1,b:1,c:1')
    addresses.failed('refused')
    addresses.worked()
    expect(addresses.current).toBe('b:1')
    expect(addresses.inOrder()).toEqual(['b:1', 'c:1', 'a:1'])
  })

  test('need no name where there is only one', () => {
    const addresses = new AddressRotation('a:1')
    expect(addresses.failed('refused')).toBe('refused')
    expect(addresses.current).toBe('a:1')
    expect(addresses.inOrder()).toEqual(['a:1'])
  })
})
