"""From a derivative to what a target prints and a runtime calls: the Plan of a fit and its manifest.

    plan.plan(analysis)                                                ->  Plan
    manifest.manifest(analysis, plan_, functions, formulas, options)   ->  JSON-able dict

Loaded on a cold run only, so its files import the rooms they join at the top.
"""
