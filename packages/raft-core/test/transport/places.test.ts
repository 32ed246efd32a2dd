import { describe, expect, test } from 'vitest'
import { placesToListen, placeToCall, type Security } from '../../src/transport/places.ts'

const PLAIN: Security = { tls: null, mixed: null }
const TLS: Security = { tls: {}, mixed: null }
const FROM_PLAIN: Security = { tls: {}, mixed: { listen: 'plain' } }
const TO_PLAIN: Security = { tls: {}, mixed: { listen: 'tls' } }

const PORT = { host: 'b', port: 1 }

/** Whether TLS is spoken where nothing is said, where it is asked for, and where it is not wanted. */
function listens(security: Security): boolean[] {
  const listen = [PORT, { ...PORT, secure: true }, { ...PORT, secure: false }]
  return placesToListen(listen, security).map(({ secure }) => secure)
}

/** The same of the peers that are called. */
function calls(security: Security): boolean[] {
  return ['b:1', 'https://b:1', 'http://b:1'].map((each) => placeToCall(each, security).secure)
}

describe('TLS is spoken', () => {
  test('everywhere by who has a certificate, unless the cluster is mixed', () => {
    expect(listens(TLS)).toEqual([true, true, true])
    expect(placeToCall('b:1', TLS)).toEqual({ host: 'b', port: 1, secure: true })
    expect(placeToCall('unixs:///b', TLS)).toEqual({ path: '/b', secure: true })
    expect(() => placeToCall('http://b:1', TLS)).toThrow('plain, and this node speaks TLS')
  })

  test('in a mixed cluster where it is said, and where nothing is said as all are called', () => {
    expect(listens(FROM_PLAIN)).toEqual([false, true, false])
    expect(listens(TO_PLAIN)).toEqual([true, true, false])
    expect(calls(FROM_PLAIN)).toEqual([false, true, false])
    expect(calls(TO_PLAIN)).toEqual([false, true, false])
  })

  test('nowhere by who has no certificate', () => {
    expect(placesToListen(PORT, PLAIN)).toEqual([{ ...PORT, secure: false }])
    expect(() => listens(PLAIN)).toThrow(RangeError)
    expect(placeToCall('http://b:1', PLAIN).secure).toBe(false)
    expect(() => placeToCall('https://b:1', PLAIN)).toThrow('this node has no certificate')
  })
})

test('a node listens somewhere', () => {
  expect(() => placesToListen([], TLS)).toThrow(
    new RangeError('listen must name at least one place'),
  )
})

test('what is no address is not called', () => {
  expect(() => placeToCall('nonsense', PLAIN)).toThrow('nonsense is not an address')
})
