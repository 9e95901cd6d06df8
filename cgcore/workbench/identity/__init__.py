"""Who may enter: log-ins, first use, passwords, grants, one-time codes, accounts."""

from __future__ import annotations

from cgcore.workbench.identity.accounts import Closed, EndConnection, NewUser
from cgcore.workbench.identity.codes import CodePurpose
from cgcore.workbench.identity.section import IdentitySection
from cgcore.workbench.identity.sessions import LoginResult, LoginSummary

__all__ = ["Closed", "CodePurpose", "EndConnection", "IdentitySection", "LoginResult", "LoginSummary", "NewUser"]
