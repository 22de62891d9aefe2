"""Simulated sensors: what each chip does on its wires, written from its data sheet, made to measure a scripted truth.

A sensor is given `truth`, a function that says what there is to measure now (`world.World.now`), and takes part in the
board's virtual time. Faults: of a serial sensor by its `faults` and `silent`, of a bus by `I2cBus`, of any value by
scripting the world beyond what the sensor can say; an absent sensor is not wired.
"""
